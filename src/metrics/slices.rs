//! Who held which part of the first GPUs when: the fold behind the chart of slices.

use super::{Held, SliceChart, SliceRow};
use crate::cluster::{Cluster, Grant, Need, NodeClass, Share};
use crate::id::{NodeId, PodId};
use crate::record::{Observer, Reasons, Record};
use crate::units::Time;
use crate::workload::Workload;
use crate::workload::view::Pods;

/// Bars kept; what comes later is not drawn, and the chart says so by ending early.
const BARS_MAX: usize = 20_000;

/// The fold.
#[derive(Debug)]
pub struct Slices<'a> {
    pods: Pods<'a>,
    workload: &'a Workload,
    empty: Cluster,
    rows: Vec<Row>,
    bars: usize,
}

#[derive(Debug)]
struct Row {
    node: NodeId,
    gpu: u8,
    chart: SliceRow,
    open: Vec<Open>,
}

/// A pod on a GPU: the units it holds, [low, high) of `full`.
#[derive(Clone, Copy, Debug)]
struct Open {
    pod: PodId,
    low: u32,
    high: u32,
    since: Time,
}

impl<'a> Slices<'a> {
    /// A fold over the first `shown` GPUs of `empty`.
    #[must_use]
    pub fn new(pods: Pods<'a>, workload: &'a Workload, empty: &'a Cluster, shown: u16) -> Slices<'a> {
        let gpus =
            empty.nodes().flat_map(|node| (0..empty.class(node).gpus as u8).map(move |gpu| (node, gpu)));
        let row = |(node, gpu): (NodeId, u8)| {
            let name = format!("{}/gpu-{gpu}", empty.name(node));
            let chart = SliceRow { name, lanes: lanes(empty.class(node)), held: Vec::new() };
            Row { node, gpu, chart, open: Vec::new() }
        };
        Slices {
            pods,
            workload,
            empty: empty.clone(),
            rows: gpus.take(usize::from(shown)).map(row).collect(),
            bars: 0,
        }
    }

    /// The chart.
    #[must_use]
    pub fn chart(self) -> SliceChart {
        SliceChart {
            hidden: self.empty.gpus() - self.rows.len(),
            gpus: self.rows.into_iter().map(|row| row.chart).collect(),
        }
    }

    fn bound(&mut self, at: Time, pod: PodId, node: NodeId, grant: &Grant) {
        if self.rows.last().is_none_or(|row| row.node < node) {
            return;
        }
        let class = self.empty.class(node);
        for row in self.rows.iter_mut().filter(|row| row.node == node) {
            match (grant, class.need(self.pods.request(pod).gpu)) {
                (Grant::Gpus(mask), Need::Units { each, .. }) if mask >> row.gpu & 1 == 1 => {
                    let low = first_gap(&row.open, u32::from(each), height(class));
                    row.open.push(Open { pod, low, high: low + u32::from(each), since: at });
                }
                (Grant::Slice { gpu, slice }, _) if *gpu == row.gpu => {
                    row.open.push(slice_bar(class, pod, *slice, at))
                }
                (Grant::Slices(slices), _) => {
                    let here = slices.iter().filter(|(gpu, _)| *gpu == row.gpu);
                    row.open.extend(here.map(|(_, slice)| slice_bar(class, pod, *slice, at)));
                }
                _ => {}
            }
        }
    }

    fn finished(&mut self, at: Time, pod: PodId) {
        for row in &mut self.rows {
            while let Some(index) = row.open.iter().position(|open| open.pod == pod) {
                let open = row.open.swap_remove(index);
                if self.bars < BARS_MAX && open.since < at {
                    self.bars += 1;
                    row.chart.held.push(bar(&open, height(self.empty.class(row.node)), at, self.workload));
                }
            }
        }
    }
}

/// Units from bottom to top of a GPU in the picture.
fn height(class: &NodeClass) -> u32 {
    match &class.share {
        Share::Slices { .. } => u32::from(class.memory_slices.max(1)),
        _ => class.full().max(1),
    }
}

fn slice_bar(class: &NodeClass, pod: PodId, slice: u8, since: Time) -> Open {
    let Share::Slices { slices, .. } = &class.share else { unreachable!("a slice is held of a MIG GPU") };
    let slice = &slices[usize::from(slice)];
    Open { pod, low: u32::from(slice.start), high: u32::from(slice.start + slice.size), since }
}

/// Lowest place where `units` are free: units of a GPU are interchangeable, the picture gives them
/// places. Where the free units are scattered the pod is drawn at the top, over others.
fn first_gap(open: &[Open], units: u32, height: u32) -> u32 {
    let mut taken: Vec<(u32, u32)> = open.iter().map(|o| (o.low, o.high)).collect();
    taken.sort_unstable();
    let mut low = 0;
    for (start, end) in taken {
        if low + units <= start {
            break;
        }
        low = low.max(end);
    }
    low.min(height - units)
}

fn bar(open: &Open, height: u32, to: Time, workload: &Workload) -> Held {
    let share = |units: u32| f64::from(units.min(height)) / f64::from(height);
    Held {
        low: share(open.low),
        high: share(open.high),
        from_s: open.since.as_secs_f64(),
        to_s: to.as_secs_f64(),
        class: workload.pods[open.pod.index()].class.index(),
        pod: workload.names.get(open.pod).into_owned(),
    }
}

fn lanes(class: &NodeClass) -> Vec<(String, f64)> {
    match &class.share {
        Share::Whole => vec![("whole".to_owned(), 1.0)],
        Share::Milli => vec![("thousandths".to_owned(), 1.0)],
        Share::Memory { gb, .. } | Share::Sliced { gb, .. } => vec![(format!("{gb} GB"), 1.0)],
        Share::Replicas { replicas, .. } => {
            (1..=*replicas).map(|i| (format!("replica {i}"), 1.0 / f64::from(*replicas))).collect()
        }
        Share::Slices { slices, .. } => {
            let mut sorted: Vec<_> = slices.iter().collect();
            sorted.sort_by_key(|s| s.start);
            let share = |size: u8| f64::from(size) / f64::from(class.memory_slices.max(1));
            let mut lanes = Vec::new();
            let mut at = 0;
            for slice in sorted {
                if at < slice.start {
                    lanes.push((String::new(), share(slice.start - at)));
                }
                lanes.push((slice.label.clone(), share(slice.size)));
                at = slice.start + slice.size;
            }
            if at < class.memory_slices {
                lanes.push((String::new(), share(class.memory_slices - at)));
            }
            lanes
        }
    }
}

impl Observer for Slices<'_> {
    fn record(&mut self, at: Time, record: Record<'_>) {
        match record {
            Record::Bound { pod, node, grant, .. } => self.bound(at, pod, node, grant),
            // Bars follow a change of mode; lanes are those of the start.
            Record::NodeChanged { node, class } => self.empty.set_class(node, class),
            Record::Finished { pod } | Record::Evicted { pod, .. } | Record::Failed { pod, .. } => {
                self.finished(at, pod)
            }
            _ => {}
        }
    }

    fn end(&mut self, _: Time, _: &Reasons) {
        for row in &mut self.rows {
            row.chart.held.sort_by(|a, b| a.from_s.total_cmp(&b.from_s).then(a.low.total_cmp(&b.low)));
        }
    }
}
