//! MPS and time-slicing, tried with real processes.
//!
//! For MPS a control daemon of our own is started, in folders of its own, with the limits of the plan;
//! then as many clients as planned take memory at the same time, each until it is refused, and hold it.
//! What each got is compared with its limit. For time-slicing the same is done without limits, to show
//! that nothing holds. The daemon is told to quit whatever happens, and looked for afterwards.
//!
//! Limits hold for client processes, not for pods: a pod with two CUDA processes gets twice its limit.

use super::{Finding, Outcome, Severity};
use crate::device::Work;
use crate::gpu::Product;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A client may get so much less than its limit: its context counts too.
const CONTEXT_MIB: u64 = 1024;
/// How long a client or the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the daemon is looked for after it was told to quit, a tenth of a second apart.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// MiB in the G of MPS' limits.
const MIB_PER_G: u64 = 1024;

/// How one GPU is to be shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum Sharing {
    /// A limit in GB for each client, as nos and nebuly's device plugin give it to containers.
    Mps {
        /// Limits in GB.
        gb: Vec<u64>,
    },
    /// Equal shares of memory and threads, as NVIDIA's device plugin sets them in the daemon.
    MpsReplicas {
        /// How many.
        replicas: u64,
    },
    /// No limit.
    TimeSlicing {
        /// How many.
        replicas: u64,
    },
}

impl Sharing {
    /// Reads limits as people write them: `10gb x2, 20gb`.
    ///
    /// # Errors
    /// The first word that cannot be.
    pub fn parse_mps(text: &str) -> Result<Sharing, String> {
        let target = super::Target::parse(text, "", None).map_err(|e| e.to_string())?;
        let gb = |word: &String| {
            let digits = word.to_lowercase();
            let digits = digits.trim_end_matches("gb").trim_end_matches('g');
            let limit = digits.parse().ok().filter(|n| (1..=4_096).contains(n));
            limit.ok_or_else(|| format!("`{word}` is no memory in GB"))
        };
        Ok(Sharing::Mps { gb: target.slices.iter().map(gb).collect::<Result<_, _>>()? })
    }

    /// As it is written.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Sharing::Mps { gb } => {
                format!("MPS {}", gb.iter().map(|g| format!("{g}gb")).collect::<Vec<_>>().join(" "))
            }
            Sharing::MpsReplicas { replicas } => format!("MPS, {replicas} equal replicas"),
            Sharing::TimeSlicing { replicas } => format!("time-slicing, {replicas} replicas"),
        }
    }

    fn clients(&self) -> usize {
        match self {
            Sharing::Mps { gb } => gb.len(),
            Sharing::MpsReplicas { replicas } | Sharing::TimeSlicing { replicas } => *replicas as usize,
        }
    }

    fn is_mps(&self) -> bool {
        !matches!(self, Sharing::TimeSlicing { .. })
    }

    /// The limit of a client in MiB, on a GPU of so much memory.
    fn limit_mib(&self, client: usize, total_mib: u64) -> Option<u64> {
        match self {
            Sharing::Mps { gb } => Some(gb[client] * MIB_PER_G),
            Sharing::MpsReplicas { replicas } => Some(total_mib / replicas),
            Sharing::TimeSlicing { .. } => None,
        }
    }

    /// The share of threads of every client in hundredths, where it is limited.
    fn threads(&self) -> Option<u64> {
        match self {
            Sharing::MpsReplicas { replicas } => Some(100 / replicas),
            _ => None,
        }
    }
}

/// What one client got.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Client {
    /// Its limit in MiB.
    pub limit_mib: Option<u64>,
    /// What it could take, in MiB, while all others held theirs.
    pub taken_mib: Option<u64>,
    /// SMs that it sees.
    pub sms: Option<u32>,
    /// Why it got nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A timed step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// Kind of work.
    pub class: &'static str,
    /// How the GPU is shared: `mig`, `mps` or `time-slicing`.
    pub sharing: &'static str,
    /// The MIG slice that it ran on; empty on a whole GPU.
    pub slice: String,
    /// Other clients at work meanwhile.
    pub neighbours: usize,
    /// Which client.
    pub client: usize,
    /// Median of a step in microseconds.
    pub step_us: u64,
}

/// What came of sharing one GPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shared {
    /// The GPU.
    pub uuid: String,
    /// How.
    pub sharing: Sharing,
    /// Its memory in MiB.
    pub total_mib: u64,
    /// Clients in order.
    pub clients: Vec<Client>,
    /// Steps that were timed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timed: Vec<Timed>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What it comes to.
    pub outcome: Outcome,
}

/// Timed steps as CSV, with a line of column names.
#[must_use]
pub fn csv<'a>(timed: impl IntoIterator<Item = &'a Timed>) -> String {
    let mut text = "class,sharing,slice,neighbours,client,step_us\n".to_owned();
    for t in timed {
        let Timed { class, sharing, slice, neighbours, client, step_us } = t;
        writeln!(text, "{class},{sharing},{slice},{neighbours},{client},{step_us}").expect("to a string");
    }
    text
}

/// What the probes are run with.
#[derive(Clone, Debug)]
pub struct Probes<'a> {
    /// The program that is a client when it is called with `probe-client`: this one.
    pub program: &'a Path,
    /// `nvidia-cuda-mps-control`.
    pub control: &'a Path,
    /// CUDA's library, where it is not the system's.
    pub cuda: Option<&'a Path>,
    /// Whether steps are timed too, with one client and more up to all.
    pub measure: bool,
    /// Set by a signal.
    pub stop: &'a AtomicBool,
}

/// What is wrong with a plan before anything is started.
#[must_use]
pub fn plan_findings(
    sharing: &Sharing,
    product: Option<&Product>,
    total_mib: u64,
    driver: Option<&str>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let clients = sharing.clients() as u64;
    if let (Some(product), true) = (product, sharing.is_mps()) {
        let mps = product.mps();
        // CUDA 13.1 came with the R590 drivers.
        let new =
            driver.and_then(|d| d.split('.').next()?.parse::<u32>().ok()).is_some_and(|major| 590 <= major);
        let most = u64::from(if new { mps.clients_cuda_13_1 } else { mps.clients });
        if most < clients {
            let what = format!("{clients} clients; MPS serves {most} on this GPU with this driver");
            findings.push(Finding::new(Severity::Error, "too-many-clients", what));
        }
        if !mps.memory_limit {
            let what = "MPS limits no memory on this GPU: that needs Volta or later";
            findings.push(Finding::new(Severity::Error, "no-memory-limit", what));
        }
    }
    let limits = (0..sharing.clients()).filter_map(|c| sharing.limit_mib(c, total_mib));
    let sum: u64 = limits.sum();
    if total_mib < sum {
        let what =
            format!("the limits add up to {sum} MiB of {total_mib} MiB: nothing but the plan forbids it");
        findings.push(Finding::new(Severity::Error, "oversubscribed", what));
    }
    findings
}

/// Shares a GPU for the time of the probes.
#[must_use]
pub fn share(probes: &Probes<'_>, uuid: &str, sharing: &Sharing, total_mib: u64, sms: Option<u32>) -> Shared {
    let mut shared = Shared {
        uuid: uuid.to_owned(),
        sharing: sharing.clone(),
        total_mib,
        clients: Vec::new(),
        timed: Vec::new(),
        findings: Vec::new(),
        outcome: Outcome::Feasible,
    };
    let failed = |shared: &mut Shared, code, what: String| {
        shared.findings.push(Finding::new(Severity::Error, code, what));
        shared.outcome = Outcome::Error;
    };
    let daemon = match sharing.is_mps() {
        true => match Daemon::start(probes, uuid, sharing, total_mib, &mut shared.findings) {
            Ok(daemon) => Some(daemon),
            Err(why) => {
                failed(&mut shared, "mps-control", why);
                return shared;
            }
        },
        false => None,
    };
    if let Err(why) = fill(probes, daemon.as_ref(), &mut shared) {
        failed(&mut shared, "probe", why);
    } else {
        judge(&mut shared, sms);
        if probes.measure
            && let Err(why) = measure(probes, daemon.as_ref(), &mut shared)
        {
            failed(&mut shared, "probe", why);
        }
    }
    // A signal from the terminal ends the clients too: what they then lack is no finding.
    if probes.stop.load(Ordering::SeqCst) {
        shared.outcome = Outcome::Interrupted;
    }
    if let Some(daemon) = daemon
        && let Err(why) = daemon.quit()
    {
        failed(&mut shared, "daemon-left", why);
    }
    shared
}

/// All clients take memory at the same time.
fn fill(probes: &Probes<'_>, daemon: Option<&Daemon>, shared: &mut Shared) -> Result<(), String> {
    let mut processes = start(probes, daemon, shared, shared.sharing.clients())?;
    // All are asked before any answer is read: they take memory at once, and hold it.
    for process in &mut processes {
        process.say("fill");
    }
    for (at, process) in processes.iter_mut().enumerate() {
        let answer = process.hear(probes.stop);
        let number = |key: &str| answer.as_ref().ok().and_then(|v| v.get(key)).and_then(Value::as_u64);
        let error = match &answer {
            Ok(value) => value.get("error").and_then(Value::as_str).map(str::to_owned),
            Err(why) => Some(why.clone()),
        };
        shared.clients.push(Client {
            limit_mib: shared.sharing.limit_mib(at, shared.total_mib),
            taken_mib: number("taken_mib"),
            sms: number("sms").and_then(|n| u32::try_from(n).ok()),
            error,
        });
    }
    Ok(())
}

/// What the clients got against the plan.
fn judge(shared: &mut Shared, sms: Option<u32>) {
    let mut no = |code, what: String| {
        shared.findings.push(Finding::new(Severity::Error, code, what));
        shared.outcome = shared.outcome.max(Outcome::NotFeasible);
    };
    let taken: u64 = shared.clients.iter().filter_map(|c| c.taken_mib).sum();
    for (at, client) in shared.clients.iter().enumerate() {
        match (client.taken_mib, client.limit_mib) {
            (None, _) => {
                let why = client.error.as_deref().unwrap_or("it said nothing");
                no("client-failed", format!("client {at} got nothing: {why}"));
            }
            (Some(taken), Some(limit)) if limit < taken => {
                no(
                    "limit-broken",
                    format!("client {at} took {taken} MiB, more than its limit of {limit} MiB"),
                );
            }
            (Some(taken), Some(limit)) if taken + CONTEXT_MIB < limit => {
                no("limit-not-reached", format!("client {at} got {taken} MiB of its {limit} MiB"));
            }
            _ => {}
        }
    }
    match (shared.sharing.threads(), sms) {
        (Some(percent), Some(all)) => {
            let expected = (u64::from(all) * percent).div_ceil(100);
            for (at, seen) in shared.clients.iter().enumerate().filter_map(|(at, c)| Some((at, c.sms?))) {
                // Shares are rounded to whole texture processing clusters, of two SMs and more.
                if 2 < u64::from(seen).abs_diff(expected) {
                    let what = format!("client {at} sees {seen} SMs; {percent} % of {all} are {expected}");
                    shared.findings.push(Finding::new(Severity::Warning, "threads", what));
                }
            }
        }
        _ if !shared.sharing.is_mps() => {
            let most = shared.clients.iter().filter_map(|c| c.taken_mib).max().unwrap_or(0);
            let share = shared.total_mib / shared.clients.len().max(1) as u64;
            let what = format!(
                "no limit holds: {} clients took {taken} MiB of {} MiB together, one of them {most} MiB where an \
                 equal share is {share} MiB; whoever comes later gets out-of-memory",
                shared.clients.len(),
                shared.total_mib
            );
            shared.findings.push(Finding::new(Severity::Warning, "oversubscription", what));
        }
        _ => {}
    }
}

/// Steps with one client at work, then two, up to all of them.
fn measure(probes: &Probes<'_>, daemon: Option<&Daemon>, shared: &mut Shared) -> Result<(), String> {
    let how = if shared.sharing.is_mps() { "mps" } else { "time-slicing" };
    for many in 1..=shared.sharing.clients() {
        let mut processes = start(probes, daemon, shared, many)?;
        let slices = vec![String::new(); many];
        shared.timed.extend(steps(probes, &mut processes, how, &slices)?);
    }
    Ok(())
}

/// Steps on MIG devices, named with their UUIDs: on each alone, then on all at once.
///
/// # Errors
/// Why a client gave no figure.
pub fn measure_slices(probes: &Probes<'_>, devices: &[(String, String)]) -> Result<Vec<Timed>, String> {
    let mut timed = Vec::new();
    let alone = devices.iter().map(std::slice::from_ref);
    for group in alone.chain((1 < devices.len()).then_some(devices)) {
        let mut processes = Vec::new();
        for (name, uuid) in group {
            let mut command = client(probes);
            command.env("CUDA_VISIBLE_DEVICES", uuid).env("CUDA_MPS_PIPE_DIRECTORY", NOWHERE);
            processes.push(Process::start(command).map_err(|e| format!("{name}: {e}"))?);
        }
        ready(probes, &mut processes)?;
        let names: Vec<String> = group.iter().map(|(name, _)| name.clone()).collect();
        timed.extend(steps(probes, &mut processes, "mig", &names)?);
    }
    Ok(timed)
}

/// Each kind of work on all clients at once.
fn steps(
    probes: &Probes<'_>,
    processes: &mut [Process],
    sharing: &'static str,
    slices: &[String],
) -> Result<Vec<Timed>, String> {
    let (many, mut timed) = (processes.len(), Vec::new());
    for work in Work::ALL {
        let class = work.word();
        for process in &mut *processes {
            process.say(&format!("step {class}"));
        }
        for (client, process) in processes.iter_mut().enumerate() {
            let answer = process.hear(probes.stop)?;
            let Some(step_us) = answer.get("step_us").and_then(Value::as_u64) else {
                let why = answer.get("error").and_then(Value::as_str).unwrap_or("no figure");
                return Err(format!("client {client} of {many}, {class}: {why}"));
            };
            let slice = slices[client].clone();
            timed.push(Timed { class, sharing, slice, neighbours: many - 1, client, step_us });
        }
    }
    Ok(timed)
}

/// A folder of pipes that is not there: no daemon of the machine is joined.
const NOWHERE: &str = "/nonexistent/slicewise-mps";

/// This program as a client, with nothing of MPS from the caller's shell.
fn client(probes: &Probes<'_>) -> Command {
    let mut command = Command::new(probes.program);
    command.arg("probe-client");
    if let Some(cuda) = probes.cuda {
        command.arg("--cuda").arg(cuda);
    }
    command.env_remove("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT").env_remove("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE");
    command
}

/// Clients of a shared GPU that are ready.
fn start(
    probes: &Probes<'_>,
    daemon: Option<&Daemon>,
    shared: &Shared,
    many: usize,
) -> Result<Vec<Process>, String> {
    let mut processes = Vec::new();
    for at in 0..many {
        let mut command = client(probes);
        match daemon {
            Some(daemon) => {
                command
                    .env("CUDA_MPS_PIPE_DIRECTORY", &daemon.pipe)
                    .env("CUDA_MPS_LOG_DIRECTORY", &daemon.log);
                // The server shows its clients one GPU, whatever its number outside.
                command.env_remove("CUDA_VISIBLE_DEVICES");
                if let Sharing::Mps { gb } = &shared.sharing {
                    command.env("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", format!("0={}G", gb[at]));
                }
            }
            None => {
                command.env("CUDA_VISIBLE_DEVICES", &shared.uuid).env("CUDA_MPS_PIPE_DIRECTORY", NOWHERE);
            }
        }
        processes.push(Process::start(command).map_err(|e| format!("client {at}: {e}"))?);
    }
    ready(probes, &mut processes)?;
    Ok(processes)
}

/// Waits until each has its context.
fn ready(probes: &Probes<'_>, processes: &mut [Process]) -> Result<(), String> {
    for (at, process) in processes.iter_mut().enumerate() {
        let answer = process.hear(probes.stop)?;
        if answer.get("ready").is_none() {
            let why = answer.get("error").and_then(Value::as_str).unwrap_or("it is not ready");
            return Err(format!("client {at}: {why}"));
        }
    }
    Ok(())
}

/// A client process; it goes with the value.
struct Process {
    child: Child,
    words: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Process {
    fn start(mut command: Command) -> std::io::Result<Process> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (words, out) = (child.stdin.take(), child.stdout.take().expect("piped"));
        let (send, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Process { child, words, answers })
    }

    /// A word; one that has gone shows when its answer does not come.
    fn say(&mut self, word: &str) {
        if let Some(words) = &mut self.words {
            let _ = writeln!(words, "{word}");
        }
    }

    fn hear(&mut self, stop: &AtomicBool) -> Result<Value, String> {
        let rounds = PATIENCE.as_millis() / PAUSE.as_millis();
        for _ in 0..rounds {
            if stop.load(Ordering::SeqCst) {
                return Err("interrupted".to_owned());
            }
            match self.answers.recv_timeout(PAUSE) {
                Ok(line) => return serde_json::from_str(&line).map_err(|e| format!("{e}: {line}")),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    return Err("it ended without an answer".to_owned());
                }
            }
        }
        Err(format!("no answer for {} s", PATIENCE.as_secs()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its input ends, and with it the process; one that hangs is ended.
        self.words = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A control daemon of MPS in folders of its own.
struct Daemon {
    control: PathBuf,
    uuid: String,
    pipe: PathBuf,
    log: PathBuf,
    /// Told to quit already.
    quit: bool,
    /// Its folders, last: they go when it has gone.
    _folder: Option<tempfile::TempDir>,
}

impl Daemon {
    fn start(
        probes: &Probes<'_>,
        uuid: &str,
        sharing: &Sharing,
        total_mib: u64,
        findings: &mut Vec<Finding>,
    ) -> Result<Daemon, String> {
        // The GPU is locked: a folder of its name is what a killed run left.
        let prefix = format!("slicewise-mps-{uuid}-");
        for left in leftovers(&prefix) {
            let daemon = Daemon {
                control: probes.control.to_owned(),
                uuid: uuid.to_owned(),
                pipe: left.join("pipe"),
                log: left.join("log"),
                quit: false,
                _folder: None,
            };
            daemon.quit()?;
            std::fs::remove_dir_all(&left).map_err(|e| format!("{}: {e}", left.display()))?;
        }
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir();
        let folder = folder.map_err(|e| format!("no folder for MPS: {e}"))?;
        let (pipe, log) = (folder.path().join("pipe"), folder.path().join("log"));
        for path in [&pipe, &log] {
            std::fs::create_dir(path).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        let daemon = Daemon {
            control: probes.control.to_owned(),
            uuid: uuid.to_owned(),
            pipe,
            log,
            quit: false,
            _folder: Some(folder),
        };
        let mut start = daemon.command();
        let started = start.arg("-d").stdout(Stdio::null()).stderr(Stdio::piped()).output();
        let started = started.map_err(|e| format!("{}: {e}", probes.control.display()))?;
        if !started.status.success() {
            let said = String::from_utf8_lossy(&started.stderr);
            return Err(format!("{} -d: {}", probes.control.display(), said.trim()));
        }
        // Defaults hold for servers that start later: they are set before the first client comes.
        let limits = (0..sharing.clients()).filter_map(|c| sharing.limit_mib(c, total_mib));
        let most = limits.max().unwrap_or(total_mib);
        daemon.tell(&format!("set_default_device_pinned_mem_limit 0 {most}M"))?;
        if let Some(percent) = sharing.threads() {
            daemon.tell(&format!("set_default_active_thread_percentage {percent}"))?;
        }
        let back = daemon.tell("get_default_device_pinned_mem_limit 0")?;
        if !shows(&back, most) {
            let what = format!("the daemon says that its limit is `{}`; it was told {most}M", back.trim());
            findings.push(Finding::new(Severity::Warning, "limit-read-back", what));
        }
        Ok(daemon)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.control);
        command
            .env("CUDA_MPS_PIPE_DIRECTORY", &self.pipe)
            .env("CUDA_MPS_LOG_DIRECTORY", &self.log)
            .env("CUDA_VISIBLE_DEVICES", &self.uuid);
        command
    }

    /// Says a line to the daemon; what it answers.
    fn tell(&self, line: &str) -> Result<String, String> {
        let told = |e: std::io::Error| format!("{}: {e}", self.control.display());
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(told)?;
        let written = writeln!(child.stdin.take().expect("piped"), "{line}");
        let output = child.wait_with_output().map_err(told)?;
        if written.is_err() || !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(format!("`{line}` to the MPS daemon: {said}"));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ends it, and looks that it has gone.
    fn quit(mut self) -> Result<(), String> {
        self.quit = true;
        let told = self.tell("quit");
        for _ in 0..LOOKS {
            // Nobody answers once it has gone.
            if self.tell("get_server_list").is_err() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        let why = told.err().map_or_else(String::new, |e| format!(" ({e})"));
        Err(format!("the MPS control daemon of {} still answers{why}", self.pipe.display()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.quit {
            let _ = self.tell("quit");
        }
    }
}

/// Folders of daemons whose run has ended without them.
fn leftovers(prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let ours = |e: &std::fs::DirEntry| e.file_name().to_string_lossy().starts_with(prefix);
    let mut found: Vec<PathBuf> = entries.filter(ours).map(|e| e.path()).collect();
    found.sort_unstable();
    found
}

/// Whether what the daemon says is this limit: `8G`, `8192M`, or bytes. Above 1 GiB some versions show
/// whole G, rounded down.
fn shows(said: &str, mib: u64) -> bool {
    let said = said.trim().rsplit([' ', '=', '\n']).next().unwrap_or("");
    let digits = said.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let Ok(number) = digits.parse::<u64>() else { return false };
    match said[digits.len()..].to_ascii_uppercase().as_str() {
        "G" | "GB" => number == mib / MIB_PER_G,
        "M" | "MB" => number == mib,
        _ => number >> 20 == mib,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_as_people_and_daemons_write_them() {
        assert_eq!(Sharing::parse_mps("10gb x2, 20"), Ok(Sharing::Mps { gb: vec![10, 10, 20] }));
        assert_eq!(Sharing::parse_mps("10GB 4g"), Ok(Sharing::Mps { gb: vec![10, 4] }));
        for text in ["", "0gb", "ten", "10mb", "99999"] {
            assert!(Sharing::parse_mps(text).is_err(), "{text}");
        }
        for (said, mib) in
            [("8G\n", 8_192), ("0=8G", 8_192), ("10240M", 10_240), ("9G", 9_999), ("512M", 512)]
        {
            assert!(shows(said, mib), "{said}");
        }
        assert!(!shows("7G", 8_192) && !shows("", 1) && !shows("unknown command", 1));
    }
}
