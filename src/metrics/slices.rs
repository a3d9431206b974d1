//! Who held which part of the first GPUs when: the fold behind the chart of slices.

use super::{Cut, Held, SliceChart, SliceRow};
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
    /// What stands on it, from bottom to top, and since when.
    parts: Vec<(Part, Time)>,
}

/// A part of a GPU: [low, high) of its height, and what it is called.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    label: String,
    low: f64,
    high: f64,
}

impl Row {
    /// These parts stand from now on.
    fn cut(&mut self, parts: Vec<Part>, at: Time, room: &mut usize) {
        let stood = std::mem::take(&mut self.parts);
        for (part, since) in &stood {
            if !parts.contains(part) && *room < BARS_MAX && *since < at {
                *room += 1;
                self.chart.cuts.push(cut(part, *since, at));
            }
        }
        let since = |part: &Part| stood.iter().find(|(of, _)| of == part).map_or(at, |(_, since)| *since);
        let dated = |part: Part| {
            let since = since(&part);
            (part, since)
        };
        self.parts = parts.into_iter().map(dated).collect();
    }
}

fn cut(part: &Part, from: Time, to: Time) -> Cut {
    let Part { label, low, high } = part.clone();
    Cut { label, low, high, from_s: from.as_secs_f64(), to_s: to.as_secs_f64() }
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
            let parts = parts(empty.class(node), empty.standing(node, gpu));
            let parts = parts.into_iter().map(|part| (part, Time::ZERO)).collect();
            Row { node, gpu, chart: SliceRow { name, ..SliceRow::default() }, open: Vec::new(), parts }
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

    /// A node, or one of its GPUs, may be cut in another way.
    fn stands(&mut self, at: Time, node: NodeId, gpu: Option<u8>) {
        for row in self.rows.iter_mut().filter(|row| row.node == node && gpu.is_none_or(|gpu| gpu == row.gpu))
        {
            let parts = parts(self.empty.class(node), self.empty.standing(node, row.gpu));
            if row.parts.iter().map(|(part, _)| part).ne(&parts) {
                row.cut(parts, at, &mut self.bars);
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

/// What pods can hold of a GPU while these slices stand on it, from bottom to top.
fn parts(class: &NodeClass, standing: u32) -> Vec<Part> {
    let all = |label: String| vec![Part { label, low: 0.0, high: 1.0 }];
    match &class.share {
        Share::Whole => all("whole".to_owned()),
        Share::Milli => all("thousandths".to_owned()),
        Share::Memory { gb, .. } | Share::Sliced { gb, .. } => all(format!("{gb} GB")),
        Share::Replicas { replicas, .. } => {
            let edge = |i: u16| f64::from(i) / f64::from(*replicas);
            let part = |i| Part { label: format!("replica {}", i + 1), low: edge(i), high: edge(i + 1) };
            (0..*replicas).map(part).collect()
        }
        Share::Slices { slices, .. } => {
            let edge = |place: u8| f64::from(place) / f64::from(class.memory_slices.max(1));
            let stands = slices.iter().enumerate().filter(|(bit, _)| standing >> bit & 1 == 1);
            let mut parts: Vec<Part> = stands
                .map(|(_, slice)| Part {
                    label: slice.label.clone(),
                    low: edge(slice.start),
                    high: edge(slice.start + slice.size),
                })
                .collect();
            parts.sort_by(|a, b| a.low.total_cmp(&b.low));
            parts
        }
    }
}

/// Parts as lanes, with nameless ones where nothing stands.
fn lanes(parts: &[(Part, Time)]) -> Vec<(String, f64)> {
    let mut lanes = Vec::new();
    let mut at = 0.0;
    for (part, _) in parts {
        if at < part.low {
            lanes.push((String::new(), part.low - at));
        }
        lanes.push((part.label.clone(), part.high - part.low));
        at = part.high;
    }
    if at < 1.0 {
        lanes.push((String::new(), 1.0 - at));
    }
    lanes
}

impl Observer for Slices<'_> {
    fn record(&mut self, at: Time, record: Record<'_>) {
        match record {
            Record::Bound { pod, node, grant, .. } => self.bound(at, pod, node, grant),
            Record::NodeChanged { node, class } => {
                self.empty.set_class(node, class);
                self.stands(at, node, None);
            }
            Record::Recut { node, gpu, standing } => {
                self.empty.recut(node, gpu, standing);
                self.stands(at, node, Some(gpu));
            }
            Record::Finished { pod } | Record::Evicted { pod, .. } | Record::Failed { pod, .. } => {
                self.finished(at, pod)
            }
            _ => {}
        }
    }

    fn end(&mut self, end: Time, _: &Reasons) {
        for row in &mut self.rows {
            if row.chart.cuts.is_empty() {
                row.chart.lanes = lanes(&row.parts);
            } else {
                row.cut(Vec::new(), end, &mut self.bars);
            }
            row.chart.held.sort_by(|a, b| a.from_s.total_cmp(&b.from_s).then(a.low.total_cmp(&b.low)));
        }
    }
}
