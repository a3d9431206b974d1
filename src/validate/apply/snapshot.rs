//! A GPU as it stood before the first change, on disk before that change is made.

use crate::device::{Instance, Place};
use crate::report::atomic;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The number of the format.
const SCHEMA: u32 = 1;

/// A slice of something: its profile and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct Spot {
    /// First slice.
    pub start: u32,
    /// Slices.
    pub size: u32,
    /// Profile id.
    pub profile: u32,
}

impl Spot {
    pub(super) fn new(profile: u32, place: Place) -> Spot {
        Spot { start: place.start, size: place.size, profile }
    }

    pub(super) fn place(self) -> Place {
        Place { start: self.start, size: self.size }
    }
}

/// A GPU instance with its compute instances. NVML's numbers and UUIDs are no part of it: they change
/// with every creation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct Stands {
    /// The GPU instance, in memory slices.
    pub gi: Spot,
    /// Its compute instances, in compute slices of it.
    pub compute: Vec<Spot>,
}

impl Stands {
    /// What a device reports.
    pub(super) fn of(instance: &Instance) -> Stands {
        let mut compute: Vec<Spot> = instance.compute.iter().map(|c| Spot::new(c.profile, c.place)).collect();
        compute.sort_unstable();
        Stands { gi: Spot::new(instance.profile, instance.place), compute }
    }

    /// All that a device reports.
    pub(super) fn all(instances: &[Instance]) -> Vec<Stands> {
        let mut all: Vec<Stands> = instances.iter().map(Stands::of).collect();
        all.sort_unstable();
        all
    }
}

/// A GPU as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Snapshot {
    /// The number of the format.
    pub schema: u32,
    /// The GPU.
    pub uuid: String,
    /// Whether MIG was on.
    pub mig: bool,
    /// Driver version.
    pub driver: String,
    /// What stood.
    pub instances: Vec<Stands>,
}

impl Snapshot {
    pub(super) fn new(uuid: &str, mig: bool, driver: String, instances: &[Instance]) -> Snapshot {
        Snapshot { schema: SCHEMA, uuid: uuid.to_owned(), mig, driver, instances: Stands::all(instances) }
    }

    /// Writes it so that it survives a power cut from here on; the hash of its text.
    pub(super) fn write(&self, path: &Path) -> io::Result<String> {
        let text = format!("{:#}\n", serde_json::json!(self));
        atomic(path, |out| out.write_all(text.as_bytes())).map_err(|error| error.source)?;
        sync_folder(path)?;
        Ok(hash(&text))
    }

    /// Reads it, if its hash is this.
    pub(super) fn read(path: &Path, expected: &str) -> Result<Snapshot, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        if hash(&text) != expected {
            return Err(format!("{} is not the snapshot that the journal names", path.display()));
        }
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }
}

fn hash(text: &str) -> String {
    use std::fmt::Write as _;
    let mut hex = String::new();
    for byte in Sha256::digest(text.as_bytes()) {
        write!(hex, "{byte:02x}").expect("to a string");
    }
    hex
}

/// Makes a new name in a file's folder survive a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
