//! The cluster of a scenario as a plan: what its GPUs are when a run begins.

use super::{Cut, GpuPlan, NodePlan, Plan, Refusal};
use crate::cluster::spec::{ClusterSpec, Mode, Mps, NodeGroup};
use crate::gpu::{Catalogue, Layout, Product};

/// The plan of a cluster: every node of every group that has GPUs.
///
/// # Errors
/// Groups whose GPUs have no cut that could be written, or are of no known product.
pub fn plan_of<'c>(cluster: &ClusterSpec, catalogue: &'c Catalogue) -> Result<Plan<'c>, Vec<Refusal>> {
    let mut nodes = Vec::new();
    let mut refusals = Vec::new();
    for group in &cluster.nodes {
        let Some(gpus) = &group.gpus else { continue };
        let cut = catalogue
            .find(&gpus.model)
            .ok_or_else(|| format!("`{}` is no GPU of the catalogue", gpus.model))
            .and_then(|product| Ok((product, cut_of(group, product)?)));
        match cut {
            Ok((product, cut)) => {
                let gpu = GpuPlan { uuid: None, cut };
                let node = |index| NodePlan {
                    name: format!("{}-{index}", group.name),
                    product,
                    gpus: vec![gpu.clone(); usize::from(gpus.count)],
                };
                nodes.extend((0..group.count).map(node));
            }
            Err(why) => refusals.push(Refusal { node: group.name.clone(), gpu: None, why }),
        }
    }
    for list in &cluster.node_lists {
        let why = "nodes of a file are not exported; write them as groups".to_owned();
        refusals.push(Refusal { node: list.file.clone(), gpu: None, why });
    }
    if refusals.is_empty() { Ok(Plan { nodes }) } else { Err(refusals) }
}

/// How each GPU of a group is cut.
fn cut_of(group: &NodeGroup, product: &Product) -> Result<Cut, String> {
    match &group.mode {
        Mode::Whole => Ok(Cut::Whole),
        Mode::Mig(slices) => Layout::place(product, slices).map(Cut::Mig).map_err(|error| error.to_string()),
        Mode::Mps(Mps::Replicas(replicas)) => Ok(Cut::MpsReplicas(*replicas)),
        Mode::TimeSlicing { replicas } => Ok(Cut::TimeSlices(*replicas)),
        Mode::MigOnDemand | Mode::Mps(Mps::OnDemand { .. }) => {
            Err("its partitioner cuts it as pods come: there is no cut to begin with".to_owned())
        }
        Mode::Mps(Mps::Memory { .. }) => {
            Err("MPS memory slices are made as pods come: there is no cut to begin with".to_owned())
        }
        Mode::Fraction => Err("thousandths of a GPU are nobody's file format".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::Gpus;
    use crate::formats::{Format, export};
    use crate::units::{Mib, MilliCpu};
    use std::collections::BTreeMap;

    fn group(name: &str, mode: Mode) -> NodeGroup {
        NodeGroup {
            name: name.to_owned(),
            count: 2,
            cpu: MilliCpu(8_000),
            memory: Mib(1_024),
            pods: 110,
            gpus: Some(Gpus { model: "a100-40gb".to_owned(), count: 2 }),
            mode,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            price_per_hour: None,
        }
    }

    #[test]
    fn a_cluster_is_written_by_its_nodes() {
        let slices = ["3g", "1g", "1g", "1g", "1g"].map(str::to_owned).to_vec();
        let nodes = vec![group("mig", Mode::Mig(slices)), group("whole", Mode::Whole)];
        let cluster = ClusterSpec { nodes, ..ClusterSpec::default() };
        let plan = plan_of(&cluster, Catalogue::builtin()).expect("it can be written");
        let names: Vec<&str> = plan.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["mig-0", "mig-1", "whole-0", "whole-1"]);
        let text = export(&plan, Format::MigParted).expect("mig-parted carries it").text;
        for part in ["3g.20gb: 1", "1g.5gb: 4", "whole-1: nvidia-mig-parted apply -f FILE -c all-disabled"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn what_has_no_cut_is_refused() {
        let nodes =
            vec![group("parts", Mode::Fraction), group("mps", Mode::Mps(Mps::Memory { clients: 48 }))];
        let cluster = ClusterSpec { nodes, ..ClusterSpec::default() };
        let refusals = plan_of(&cluster, Catalogue::builtin()).expect_err("neither has a cut");
        let named: Vec<&str> = refusals.iter().map(|r| r.node.as_str()).collect();
        assert_eq!(named, ["parts", "mps"]);
    }
}
