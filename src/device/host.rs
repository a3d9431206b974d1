//! What the machine around the GPUs says: its boot, its processes, who else manages them.

use super::inventory::Process;
use std::fs;
use std::path::PathBuf;

/// The folders of the machine that are looked at, so that a test can have its own.
#[derive(Clone, Debug)]
pub struct Host {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/var/lib/kubelet`.
    pub kubelet: PathBuf,
}

impl Default for Host {
    fn default() -> Host {
        Host { proc: PathBuf::from("/proc"), kubelet: PathBuf::from("/var/lib/kubelet") }
    }
}

/// Programs that cut GPUs themselves. `/proc/…/comm` holds the first 15 letters of a name.
const MANAGERS: [&str; 3] = ["nvidia-mig-manager", "nvidia-mig-parted", "gpu-kubelet-plugin"];
const COMM: usize = 15;
/// The daemon that keeps the driver loaded holds every device file and uses none: `nvidia-persistenced`.
const PERSISTENCED: &str = "nvidia-persiste";

impl Host {
    /// The number of this boot; empty where the system has none.
    #[must_use]
    pub fn boot_id(&self) -> String {
        let text = fs::read_to_string(self.proc.join("sys/kernel/random/boot_id"));
        text.map(|t| t.trim().to_owned()).unwrap_or_default()
    }

    /// Processes by number, with their folders.
    fn processes(&self) -> Vec<(u32, PathBuf)> {
        let Ok(entries) = fs::read_dir(&self.proc) else { return Vec::new() };
        let number = |e: fs::DirEntry| Some((e.file_name().to_str()?.parse().ok()?, e.path()));
        let mut all: Vec<(u32, PathBuf)> = entries.flatten().filter_map(number).collect();
        all.sort_unstable();
        all
    }

    /// Who else cuts the GPUs of this machine, in words; empty if nobody was seen.
    #[must_use]
    pub fn managers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (pid, folder) in self.processes() {
            let comm = fs::read_to_string(folder.join("comm")).unwrap_or_default();
            let name = comm.trim();
            if let Some(manager) = MANAGERS.iter().find(|m| m[..COMM.min(m.len())] == *name) {
                found.push(format!("process {pid} ({manager})"));
            }
        }
        let unit = self.proc.join("1/root/etc/systemd/system/nvidia-mig-manager.service");
        if unit.exists() && found.is_empty() && self.enabled_unit() {
            found.push("the host unit nvidia-mig-manager".to_owned());
        }
        let folder = self.kubelet.join("plugins/gpu.nvidia.com");
        if folder.is_dir() {
            found.push(format!("NVIDIA's DRA driver ({})", folder.display()));
        }
        found
    }

    /// Whether the unit of nvidia-mig-manager starts with the machine.
    fn enabled_unit(&self) -> bool {
        let wants = self.proc.join("1/root/etc/systemd/system/multi-user.target.wants");
        fs::symlink_metadata(wants.join("nvidia-mig-manager.service")).is_ok()
    }

    /// Processes that hold a GPU's device file open; this one does not count. Those of other users
    /// are seen by root only.
    #[must_use]
    pub fn holders(&self, minor: u32, uuid: &str) -> Vec<Process> {
        let file = PathBuf::from(format!("/dev/nvidia{minor}"));
        let mut found = Vec::new();
        for (pid, folder) in self.processes() {
            let comm = fs::read_to_string(folder.join("comm")).unwrap_or_default();
            if pid == std::process::id() || comm.trim() == PERSISTENCED {
                continue;
            }
            let Ok(entries) = fs::read_dir(folder.join("fd")) else { continue };
            let mut links = entries.flatten().filter_map(|e| fs::read_link(e.path()).ok());
            if links.any(|target| target == file) {
                found.push(Process { pid, how: format!("holds {}", file.display()), on: uuid.to_owned() });
            }
        }
        found
    }
}
