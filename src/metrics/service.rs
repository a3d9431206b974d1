//! ServiceFigures to pods that serve: how long they take, and how many are lost.
//!
//! A fold over records, with streams of its own: requests come to a pod from its arrival on, whatever
//! becomes of it, so two policies meet the same requests. While the pod has a place, it serves so many at
//! once as it can, and others wait, first come, first served; each goes as fast as the pod does at the
//! moment, in integers. While the pod starts or saves, all stand still. ServiceFigures that come while the pod
//! waits for a place are lost, and so are those that it has when it loses one. A pod that leaves without
//! having run to its end loses what would have come until it had been there for its run time.
//!
//! On a time-sliced GPU a request takes its turns with who is busy when it starts: pods that work,
//! and pods that serve and have a request just then. Neighbours that come or go later do not change it
//! (an approximation: requests are short).
//!
//! ServiceFigures hold nothing up in the simulation: to their neighbours, pods that serve are always busy.

use super::Window;
use crate::cluster::{Cluster, Grant, Share};
use crate::id::{GpuId, NodeId, PodId};
use crate::perf::TimeSlicing;
use crate::perf::service::{Asked, Need, Service, moment};
use crate::record::{Observer, Reasons, Record};
use crate::stats::sketch::Sketch;
use crate::units::{Speed, Time, Work};
use crate::workload::Workload;
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The requests to the pods of one class, over those that came in the measured window. `requests` is the
/// sum of `served`, `lost` and `unfinished`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServiceFigures {
    /// The class.
    pub class: String,
    /// ServiceFigures that came.
    pub requests: u64,
    /// Those that were answered.
    pub served: u64,
    /// Those that came to a pod without a place, or were there when it lost it.
    pub lost: u64,
    /// Those that were there when their pod ended, or the run.
    pub unfinished: u64,
    /// Time from coming to the answer, of those that were served.
    pub latency_s: Latency,
    /// The target, and what came of it, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<InTime>,
}

/// Latencies in seconds; quantiles by nearest rank, within 0.4 %. All zeros where no request was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// How many requests were answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct InTime {
    /// Share that must be.
    pub quantile: f64,
    /// How soon, seconds.
    pub within_s: f64,
    /// Share that were, of all that were served, lost, or late already when their pod or the run ended.
    /// `None` where there were none.
    pub share: Option<f64>,
}

/// Whether a target holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// It does: of several runs, the whole 95 % interval of the share lies at or above it.
    Met,
    /// It does not: the whole interval lies below.
    Missed,
    /// The interval straddles it, or there were no requests: counts as no.
    Undecided,
}

/// A request at a pod, before it is served.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    at: Time,
    need: Need,
}

/// A request that is served.
#[derive(Clone, Copy, Debug)]
struct Served {
    at: Time,
    /// Work left before it writes, and of its writing.
    prefill: Work,
    writing: Work,
}

/// Where a pod runs.
#[derive(Clone, Debug)]
struct Place {
    speed: Speed,
    /// Its GPUs, where these are time-sliced.
    gpus: Vec<GpuId>,
}

/// A pod that serves.
#[derive(Clone, Debug)]
struct Server {
    class: usize,
    arrival: Time,
    asked: Asked,
    /// The next request and when it comes.
    next: Option<(Time, Need)>,
    /// No request comes from here on.
    until: Time,
    waiting: VecDeque<Waiting>,
    served: Vec<Served>,
    /// The place that it has, if it has one.
    place: Option<Place>,
    settled: Time,
    /// Its latest event on the calendar; older ones mean nothing.
    epoch: u32,
}

/// What came of the requests of a class.
#[derive(Clone, Debug, Default)]
struct Tally {
    requests: u64,
    lost: u64,
    unfinished: u64,
    in_time: u64,
    /// Unfinished ones that were late already.
    late: u64,
    latencies: Sketch,
}

/// The fold.
#[derive(Debug)]
pub struct Requested<'a> {
    workload: &'a Workload,
    cluster: &'a Cluster,
    /// By class.
    services: &'a [Option<Service>],
    /// Whether any class serves; without one there is nothing to follow.
    serves: bool,
    /// Time-slicing, where slowdowns are modelled.
    slicing: Option<TimeSlicing>,
    window: Window,
    seed: u64,
    servers: FxHashMap<PodId, Server>,
    calendar: BinaryHeap<Reverse<(Time, PodId, u32)>>,
    /// The class of each node now.
    class_of: Vec<u16>,
    /// Pods on each time-sliced GPU.
    on_gpu: FxHashMap<GpuId, Vec<PodId>>,
    /// Pods there that serve nothing, and whether they work.
    working: FxHashMap<PodId, (Vec<GpuId>, bool)>,
    tallies: Vec<Tally>,
}

impl<'a> Requested<'a> {
    /// A fold over a run on `cluster`, whose classes have these services.
    #[must_use]
    pub fn new(
        workload: &'a Workload,
        cluster: &'a Cluster,
        services: &'a [Option<Service>],
        slicing: Option<TimeSlicing>,
        window: Window,
        seed: u64,
    ) -> Requested<'a> {
        Requested {
            workload,
            cluster,
            services,
            serves: services.iter().any(Option::is_some),
            slicing,
            window,
            seed,
            servers: FxHashMap::default(),
            calendar: BinaryHeap::new(),
            class_of: cluster.nodes().map(|node| cluster.class_index(node) as u16).collect(),
            on_gpu: FxHashMap::default(),
            working: FxHashMap::default(),
            tallies: vec![Tally::default(); services.len()],
        }
    }

    /// The figures, class by class, of those that have pods.
    #[must_use]
    pub fn figures(&self) -> Vec<ServiceFigures> {
        let of = |(class, service): (usize, &Option<Service>)| {
            let (service, tally) = (service.as_ref()?, &self.tallies[class]);
            let latencies = &tally.latencies;
            let at = |level| latencies.quantile(level).as_secs_f64();
            let target = service.target.map(|target| {
                let judged = latencies.count() + tally.lost + tally.late;
                let share = (judged != 0).then(|| tally.in_time as f64 / judged as f64);
                InTime { quantile: target.quantile, within_s: target.within.as_secs_f64(), share }
            });
            Some(ServiceFigures {
                class: self.workload.classes[class].clone(),
                requests: tally.requests,
                served: latencies.count(),
                lost: tally.lost,
                unfinished: tally.unfinished,
                latency_s: Latency {
                    mean: latencies.mean_s(),
                    p50: at(500_000),
                    p95: at(950_000),
                    p99: at(990_000),
                    max: latencies.max().as_secs_f64(),
                },
                target,
            })
        };
        self.services.iter().enumerate().filter_map(of).collect()
    }

    fn service(&self, class: usize) -> &'a Service {
        self.services[class].as_ref().expect("a server's class serves")
    }

    fn counts(&self, at: Time) -> bool {
        self.window.from <= at && self.window.to.is_none_or(|to| at < to)
    }

    fn arrive(&mut self, pod: PodId, at: Time) {
        let class = self.workload.pods[pod.index()].class.index();
        let Some(service) = self.services[class].as_ref() else { return };
        let server = Server {
            class,
            arrival: at,
            asked: Asked::new(service, self.seed, u64::from(pod.0)),
            next: None,
            until: self.window.to.unwrap_or(Time(u64::MAX)),
            waiting: VecDeque::new(),
            served: Vec::new(),
            place: None,
            settled: at,
            epoch: 0,
        };
        self.servers.insert(pod, server);
        self.with(pod, |server, _| server.draw());
    }

    /// Does something with a server and puts its next event on the calendar.
    fn with(&mut self, pod: PodId, act: impl FnOnce(&mut Server, &mut Requested<'a>)) {
        let Some(mut server) = self.servers.remove(&pod) else { return };
        let service = self.service(server.class);
        act(&mut server, self);
        server.epoch += 1;
        if let Some(at) = server.next_event(service) {
            self.calendar.push(Reverse((at, pod, server.epoch)));
        }
        self.servers.insert(pod, server);
    }

    /// Lets all happen that happens until `now`, which included.
    fn run_to(&mut self, now: Time) {
        while let Some(Reverse((at, pod, epoch))) = self.calendar.peek().copied() {
            if now < at {
                break;
            }
            self.calendar.pop();
            if self.servers.get(&pod).is_some_and(|server| server.epoch == epoch) {
                self.with(pod, |server, fold| server.happen(pod, at, fold));
            }
        }
    }

    /// Pods that want the most crowded of these GPUs, `pod` among them.
    fn busy(&self, pod: PodId, gpus: &[GpuId]) -> u32 {
        let works = |other: &PodId| {
            *other == pod
                || match self.servers.get(other) {
                    Some(server) => server.is_busy(),
                    None => self.working.get(other).is_some_and(|(_, works)| *works),
                }
        };
        let on =
            |gpu: &GpuId| self.on_gpu.get(gpu).map_or(1, |pods| pods.iter().filter(|p| works(p)).count());
        gpus.iter().map(on).max().unwrap_or(1) as u32
    }

    /// The GPUs of a grant, if they are time-sliced and that is modelled.
    fn sliced(&self, node: NodeId, grant: &Grant) -> Vec<GpuId> {
        let share = &self.cluster.classes()[usize::from(self.class_of[node.index()])].share;
        match (share, &self.slicing) {
            (Share::Replicas { mps: false, .. }, Some(_)) => {
                grant.gpus().map(|gpu| self.cluster.gpu_id(node, gpu)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn bound(&mut self, pod: PodId, at: Time, node: NodeId, grant: &Grant, speed: Speed) {
        let gpus = self.sliced(node, grant);
        for gpu in &gpus {
            self.on_gpu.entry(*gpu).or_default().push(pod);
        }
        if self.servers.contains_key(&pod) {
            self.with(pod, |server, fold| {
                server.settle(at, fold.service(server.class));
                server.place = Some(Place { speed, gpus });
                server.begin(pod, fold);
            });
        } else if !gpus.is_empty() {
            self.working.insert(pod, (gpus, speed != Speed::STILL));
        }
    }

    fn speed_changed(&mut self, pod: PodId, at: Time, speed: Speed) {
        if let Some((_, works)) = self.working.get_mut(&pod) {
            *works = speed != Speed::STILL;
        }
        self.with(pod, |server, fold| {
            server.settle(at, fold.service(server.class));
            if let Some(place) = &mut server.place {
                place.speed = speed;
            }
            server.begin(pod, fold);
        });
    }

    /// A pod has its place no longer: `ended` at its end, and else what it has is lost.
    fn left(&mut self, pod: PodId, at: Time, ended: bool) {
        let gone = |on_gpu: &mut FxHashMap<GpuId, Vec<PodId>>, gpus: &[GpuId]| {
            for gpu in gpus {
                on_gpu.entry(*gpu).or_default().retain(|other| *other != pod);
            }
        };
        if let Some((gpus, _)) = self.working.remove(&pod) {
            gone(&mut self.on_gpu, &gpus);
        }
        self.with(pod, |server, fold| {
            if let Some(place) = server.place.take() {
                gone(&mut fold.on_gpu, &place.gpus);
            }
            server.drop_all(at, ended, fold);
        });
    }

    /// A pod is gone for ever: at its end, or with requests to come that nobody answers.
    fn gone(&mut self, pod: PodId, at: Time, ended: bool) {
        self.left(pod, at, ended);
        let work = self.workload.truths[pod.index()].work;
        self.with(pod, |server, _| {
            let stay = if ended { at } else { moment(server.arrival, work).unwrap_or(at).max(at) };
            server.until = server.until.min(stay);
        });
    }
}

impl Server {
    fn is_busy(&self) -> bool {
        !self.served.is_empty()
    }

    /// Draws the next request.
    fn draw(&mut self) {
        let (since, need) = self.asked.draw();
        self.next = moment(self.arrival, since).map(|at| (at, need));
    }

    /// How fast what it serves goes now, before writing.
    fn speed(&self) -> Speed {
        match &self.place {
            None => Speed::STILL,
            // Its turns are in what the request takes.
            Some(place) if !place.gpus.is_empty() && place.speed != Speed::STILL => Speed::FULL,
            Some(place) => place.speed,
        }
    }

    /// How fast each request goes in the phase that it is in.
    fn pace(&self, request: &Served, service: &Service) -> Speed {
        match request.prefill {
            Work(0) => service.writing_speed(self.speed(), self.served.len()),
            _ => self.speed(),
        }
    }

    /// Accounts for the work done until `now`: no phase ends before.
    fn settle(&mut self, now: Time, service: &Service) {
        let passed = now.since(self.settled);
        self.settled = now;
        for i in 0..self.served.len() {
            let done = Work::done(passed, self.pace(&self.served[i], service));
            let request = &mut self.served[i];
            match request.prefill {
                Work(0) => request.writing = request.writing.minus(done),
                left => request.prefill = left.minus(done),
            }
        }
    }

    /// When something happens next, as it stands.
    fn next_event(&self, service: &Service) -> Option<Time> {
        let phase = |request: &Served| {
            let left = if request.prefill == Work(0) { request.writing } else { request.prefill };
            match self.pace(request, service) {
                Speed::STILL => None,
                pace => self.settled.0.checked_add(left.time_at(pace).0).map(Time),
            }
        };
        let comes = self.next.map(|(at, _)| at).filter(|at| *at < self.until);
        self.served.iter().filter_map(phase).chain(comes).min()
    }

    /// What is due at `now` happens: answers, and a request that comes.
    fn happen(&mut self, pod: PodId, now: Time, fold: &mut Requested<'_>) {
        let service = fold.service(self.class);
        self.settle(now, service);
        let counted: Vec<Time> = {
            let done = self.served.iter().filter(|r| r.prefill == Work(0) && r.writing == Work(0));
            done.map(|request| request.at).filter(|at| fold.counts(*at)).collect()
        };
        self.served.retain(|request| request.prefill != Work(0) || request.writing != Work(0));
        let tally = &mut fold.tallies[self.class];
        for at in counted {
            let latency = now.since(at);
            tally.latencies.add(latency);
            tally.in_time += u64::from(service.target.is_some_and(|target| latency <= target.within));
        }
        if let Some((at, need)) = self.next.filter(|(at, _)| *at == now && *at < self.until) {
            let counts = u64::from(fold.counts(at));
            fold.tallies[self.class].requests += counts;
            match self.place {
                Some(_) => self.waiting.push_back(Waiting { at, need }),
                None => fold.tallies[self.class].lost += counts,
            }
            self.draw();
        }
        self.begin(pod, fold);
    }

    /// Begins to serve whom it can.
    fn begin(&mut self, pod: PodId, fold: &Requested<'_>) {
        let service = fold.service(self.class);
        while self.served.len() < service.concurrency as usize && self.speed() != Speed::STILL {
            let Some(Waiting { at, need }) = self.waiting.pop_front() else { break };
            let gpus = self.place.as_ref().map_or(&[][..], |place| &place.gpus);
            let request = match &fold.slicing {
                Some(slicing) if !gpus.is_empty() => {
                    let takes = service.takes(&need, self.served.len() + 1);
                    let latency = slicing.latency(takes, fold.busy(pod, gpus), need.turn);
                    Served { at, prefill: Work::alone(latency), writing: Work(0) }
                }
                _ => {
                    let writing = Work::alone(service.writing(&need));
                    Served { at, prefill: Work::alone(need.prefill), writing }
                }
            };
            self.served.push(request);
        }
    }

    /// It has no place for its requests any more.
    fn drop_all(&mut self, now: Time, ended: bool, fold: &mut Requested<'_>) {
        let within = fold.service(self.class).target.map(|target| target.within);
        let all = self.served.drain(..).map(|r| r.at).chain(self.waiting.drain(..).map(|w| w.at));
        let all: Vec<Time> = all.filter(|at| fold.counts(*at)).collect();
        let tally = &mut fold.tallies[self.class];
        for at in all {
            if ended {
                tally.unfinished += 1;
                tally.late += u64::from(within.is_some_and(|within| within < now.since(at)));
            } else {
                tally.lost += 1;
            }
        }
        self.settled = now;
    }
}

impl Observer for Requested<'_> {
    fn record(&mut self, at: Time, record: Record<'_>) {
        if !self.serves {
            return;
        }
        self.run_to(at);
        match record {
            Record::Arrived { pod } => self.arrive(pod, at),
            Record::Bound { pod, node, grant, speed } => self.bound(pod, at, node, grant, speed),
            Record::SpeedChanged { pod, speed } => self.speed_changed(pod, at, speed),
            Record::Evicted { pod, returns: true, .. } | Record::Failed { pod, returns: true, .. } => {
                self.left(pod, at, false);
            }
            Record::Evicted { pod, .. }
            | Record::Failed { pod, .. }
            | Record::GaveUp { pod }
            | Record::TurnedAway { pod }
            | Record::NeverFits { pod, .. } => self.gone(pod, at, false),
            Record::Finished { pod } => self.gone(pod, at, true),
            Record::NodeChanged { node, class } => self.class_of[node.index()] = class,
            // Nothing else moves a pod or changes its speed.
            _ => {}
        }
    }

    fn end(&mut self, at: Time, _: &Reasons) {
        let to = self.window.to.unwrap_or(at);
        self.run_to(to);
        let end = to.max(at);
        let mut pods: Vec<PodId> = self.servers.keys().copied().collect();
        pods.sort_unstable();
        for pod in pods {
            self.with(pod, |server, fold| server.drop_all(end, true, fold));
        }
    }
}

impl Holds {
    /// The state of a target by the shares in time of several runs, or of one.
    #[must_use]
    pub fn of(quantile: f64, shares: &[f64]) -> Holds {
        let (low, high) = match (crate::stats::sample::t_interval(shares, 0.95), shares) {
            (Some(interval), _) => (interval.mean - interval.half_width, interval.mean + interval.half_width),
            (None, [only]) => (*only, *only),
            (None, _) => return Holds::Undecided,
        };
        if quantile <= low {
            Holds::Met
        } else if high < quantile {
            Holds::Missed
        } else {
            Holds::Undecided
        }
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Holds::Met => "met",
            Holds::Missed => "missed",
            Holds::Undecided => "undecided",
        }
    }
}

#[cfg(test)]
mod tests;
