//! A shell script of `nvidia-smi` commands: what every machine with a driver understands.
//!
//! Slices are created with their places, larger ones first, so nothing is left to the driver.

use super::{Cut, NodePlan, Plan, Writer};
use crate::gpu::{Layout, Product, Slice};
use crate::manifest::Located;
use crate::yaml::Problem;
use std::ops::Range;

/// What a script would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Nodes in the order of the file; one without a name for commands outside of any.
    pub nodes: Vec<ScriptNode>,
}

/// The commands for one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptNode {
    /// Its name, if the script tells nodes apart.
    pub name: String,
    /// GPUs in the order in which they are named.
    pub gpus: Vec<ScriptGpu>,
}

/// The commands for one GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptGpu {
    /// Its index or UUID.
    pub id: Located<String>,
    /// MIG on or off, if it is set.
    pub enabled: Option<bool>,
    /// Slices created, by the ids of `nvidia-smi mig -lgip`, with their starts if they have any.
    pub instances: Vec<(Located<String>, Option<u8>)>,
}

/// The script of a plan.
pub(super) fn write(plan: &Plan<'_>, out: &mut Writer) -> String {
    let mut text = "#!/bin/sh\n".to_owned();
    text.push_str("set -eu\ncase \"${1:-$(hostname)}\" in\n");
    for node in &plan.nodes {
        text.push_str(&format!("{})\n", node.name));
        for (index, gpu) in node.gpus.iter().enumerate() {
            let id = gpu.uuid.clone().unwrap_or_else(|| index.to_string());
            if gpu.uuid.is_none() {
                out.note("Where no UUID is known, GPUs are named by index, which a reboot may change.");
            }
            for line in commands(node, index, &gpu.cut, &id, out) {
                text.push_str(&format!("  {line}\n"));
            }
        }
        text.push_str("  ;;\n");
    }
    if plan.nodes.iter().all(|n| !n.product.is_mig()) && out.refusals.is_empty() {
        out.refuse(None, None, "no GPU of the plan has MIG: there is nothing for nvidia-smi to set up");
    }
    text.push_str(
        "*)\n  echo \"no commands for this node; name one of the plan\" >&2\n  exit 2\n  ;;\nesac\n",
    );
    out.note("Run it on each node as root, with the node's name as argument if its host name differs.");
    out.note("No pod may use the GPUs, and no other program may manage MIG on them; nothing is put back by itself.");
    text
}

fn commands(node: &NodePlan<'_>, index: usize, cut: &Cut, id: &str, out: &mut Writer) -> Vec<String> {
    let product = node.product;
    let clear = || {
        // Both fail where there is nothing to destroy.
        vec![format!("nvidia-smi mig -i {id} -dci || true"), format!("nvidia-smi mig -i {id} -dgi || true")]
    };
    let layout = match cut {
        Cut::Whole if !product.is_mig() => return vec![format!(": GPU {id} is whole")],
        Cut::Whole => {
            let mut lines = clear();
            lines.push(format!("nvidia-smi -i {id} -mig 0"));
            return lines;
        }
        Cut::Mig(_) => cut.layout(product),
        Cut::Counts(_) => {
            out.note("The plan gives no places; the first that fit were written.");
            cut.layout(product)
        }
        other => {
            let why = format!("nvidia-smi sets up MIG, not {}; a device plugin's file does", other.word());
            out.refuse(Some(node), Some(index), why);
            return Vec::new();
        }
    };
    let Some(layout) = layout else {
        out.refuse(Some(node), Some(index), "its slices do not fit on it together");
        return Vec::new();
    };
    let mut lines = vec![format!("nvidia-smi -i {id} -mig 1")];
    lines.extend(clear());
    match create(product, layout) {
        Ok(list) if list.is_empty() => {}
        Ok(list) => lines.push(format!("nvidia-smi mig -i {id} -cgi {list} -C")),
        Err(profile) => {
            let why = format!(
                "the id of {profile} on {} is not known, and nvidia-smi creates slices by id; use a checkpoint or mig-parted",
                product.id()
            );
            out.refuse(Some(node), Some(index), why);
        }
    }
    lines
}

/// `9:4,14:0`: the slices by profile id and start, larger ones first.
fn create(product: &Product, layout: Layout) -> Result<String, String> {
    let mut slices = layout.slices(product);
    slices.sort_by_key(|s| (product.at(s.profile).size_order(), s.start));
    let one = |s: &Slice| match product.at(s.profile).id() {
        Some(id) => Ok(format!("{id}:{}", s.start)),
        None => Err(product.at(s.profile).name().to_owned()),
    };
    Ok(slices.iter().map(one).collect::<Result<Vec<_>, _>>()?.join(","))
}

/// Whether a text is such a script.
pub(super) fn is_script(text: &str) -> bool {
    text.starts_with("#!") || text.lines().any(|line| line.trim_start().starts_with("nvidia-smi "))
}

/// Reads a script: the `nvidia-smi` commands of plain lines; anything else a shell can do is left
/// alone.
pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> Script {
    let mut script = Script::default();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_suffix(')').filter(|n| is_label(n)) {
            script.nodes.push(ScriptNode { name: name.to_owned(), gpus: Vec::new() });
        }
        let words = words(line, start);
        if words.first().is_some_and(|w| w.value == "nvidia-smi") {
            if script.nodes.is_empty() {
                script.nodes.push(ScriptNode::default());
            }
            let node = script.nodes.last_mut().expect("one at least");
            command(&words, node, problems);
        }
    }
    script.nodes.retain(|node| !node.gpus.is_empty());
    script
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

/// Words of a line with their places, up to a comment or another command.
fn words(line: &str, start: usize) -> Vec<Located<String>> {
    let mut words = Vec::new();
    let mut from = 0;
    for word in line.split_whitespace() {
        let at = from + line[from..].find(word).expect("a word of the line");
        from = at + word.len();
        if matches!(word, "||" | "&&" | ";" | "|") || word.starts_with('#') {
            break;
        }
        words.push(Located::new(&(start + at..start + from), word.trim_matches(['"', '\'']).to_owned()));
    }
    words
}

fn command(words: &[Located<String>], node: &mut ScriptNode, problems: &mut Vec<Problem>) {
    let value = |flags: &[&str]| {
        let flag = words.iter().position(|w| flags.contains(&w.value.as_str()))?;
        words.get(flag + 1)
    };
    let Some(id) = value(&["-i", "--id"]) else {
        if words.iter().any(|w| matches!(w.value.as_str(), "-cgi" | "-dgi" | "-dci" | "-mig")) {
            let problem =
                Problem::new("missing-key", &words[0].at, "no `-i`: this changes every GPU of the node");
            problems.push(problem.warning().help("name the GPU by UUID"));
        }
        return;
    };
    let at = node.gpus.iter().position(|g| g.id.value == id.value).unwrap_or_else(|| {
        node.gpus.push(ScriptGpu { id: id.clone(), enabled: None, instances: Vec::new() });
        node.gpus.len() - 1
    });
    let gpu = &mut node.gpus[at];
    if let Some(mode) = value(&["-mig", "--multi-instance-gpu"]) {
        gpu.enabled = match mode.value.as_str() {
            "1" | "ENABLED" => Some(true),
            "0" | "DISABLED" => Some(false),
            other => {
                let message = format!("`{other}` is no MIG mode");
                problems.push(Problem::new("bad-value", &mode.at, message).help("write 0 or 1"));
                None
            }
        };
    }
    let Some(list) = value(&["-cgi", "--create-gpu-instance"]) else { return };
    let mut from = list.at.start + usize::from(list.at.end - list.at.start != list.value.len());
    for item in list.value.split(',') {
        let place: Range<usize> = from..from + item.len();
        from += item.len() + 1;
        let (profile, start) = match item.split_once(':') {
            Some((profile, start)) => (profile, Some(start)),
            None => (item, None),
        };
        let start = match start.map(str::parse::<u8>) {
            Some(Ok(start)) => Some(start),
            None => None,
            Some(Err(_)) => {
                problems.push(Problem::new(
                    "bad-value",
                    &place,
                    format!("`{item}`: a start is a memory slice"),
                ));
                None
            }
        };
        gpu.instances.push((Located::new(&place, profile.to_owned()), start));
    }
    if !words.iter().any(|w| matches!(w.value.as_str(), "-C" | "--default-compute-instance")) {
        let message = "no `-C`: the slices get no compute instance, and no pod can use them";
        problems.push(Problem::new("no-effect", &list.at, message).warning().help("add `-C`"));
    }
}

impl ScriptGpu {
    /// Its slices on a product: at their starts, or where they fit if one has none.
    ///
    /// # Errors
    /// The first that cannot be, with the reason.
    pub fn on(&self, product: &Product) -> Result<Layout, (Range<usize>, String)> {
        let mut wants = Vec::new();
        for (written, start) in &self.instances {
            let refuse = |why: String| (written.at.clone(), why);
            let by_id = written.value.parse().ok();
            let by_id = by_id.and_then(|id: u32| product.profiles().iter().find(|p| p.id() == Some(id)));
            let profile = by_id.or_else(|| product.profile(&written.value)).ok_or_else(|| {
                let known: Vec<String> = product
                    .profiles()
                    .iter()
                    .filter_map(|p| Some(format!("{} {}", p.id()?, p.name())))
                    .collect();
                refuse(format!(
                    "{} has no profile `{}`; it has {}",
                    product.id(),
                    written.value,
                    known.join(", ")
                ))
            })?;
            wants.push(match start {
                Some(start) => format!("{}@{start}", profile.name()),
                None => profile.name().to_owned(),
            });
            if let Err(error) = Layout::place(product, &wants) {
                return Err(refuse(error.to_string()));
            }
        }
        Ok(Layout::place(product, &wants).expect("checked one by one"))
    }
}
