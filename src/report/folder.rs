//! The report's folder. Every file appears whole or not at all, and `report.html` appears last: a
//! folder without one was never finished.

use super::{Page, Picture, allocation, gpu_time, html, human::number, queue, slices, summary, waits};
use crate::workload::request::Sharing;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A file of a report that could not be written.
#[derive(Debug, Error)]
#[error("cannot write {}: {source}{}", path.display(), remedy(source.kind()))]
pub struct WriteError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// What a person can do about it.
fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; free some space there, or name another folder with --out"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; name a folder you may write to with --out"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "; a file stands where a folder is needed: move it away, or name another folder with --out"
        }
        ErrorKind::IsADirectory => "; a folder of that name is in the way: move it away",
        _ => "",
    }
}

/// Writes a file whole or not at all: `content` fills a temporary file beside it, which is flushed to
/// the disk and takes the name only then. After an error the old file is as it was and nothing is left.
///
/// What is no plain file (`/dev/stdout`, a pipe) is written as it is, never replaced.
///
/// # Errors
/// The file could not be made, filled or named; the error says which and what to do.
pub fn atomic(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    try_atomic(path, content).map_err(|source| WriteError { path: path.to_owned(), source })
}

fn try_atomic(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // A link stays a link: what it points at is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&path) {
        Ok(there) if there.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() => {
            let mut device = BufWriter::new(File::options().write(true).open(&path)?);
            content(&mut device)?;
            return device.flush();
        }
        _ => {}
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = temporary_in(folder)?;
    let mut buffered = BufWriter::new(temporary.as_file_mut());
    content(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    temporary.as_file().sync_all()?;
    temporary.persist(&path).map_err(|e| e.error)?;
    Ok(())
}

/// A file that goes away by itself unless it gets a name; others may read it, as any other file.
fn temporary_in(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".slicewise-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder.tempfile_in(folder)
}

/// Whether a folder takes files, or can be made where it is to be; nothing is left there.
///
/// # Errors
/// It does not and cannot.
pub fn writable(folder: &Path) -> Result<(), WriteError> {
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    // Without the temporary file's name, which says nothing to anybody.
    let made = match there.is_dir() {
        true => temporary_in(there).map(drop).map_err(|error| error.kind().into()),
        false => Err(ErrorKind::NotADirectory.into()),
    };
    made.map_err(|source| WriteError { path: folder.to_owned(), source })
}

/// Writes a report's folder, made if need be; `pods.csv` is the caller's, who streams it by [`atomic`].
///
/// Gives the files in the order they were written.
///
/// # Errors
/// The first file that could not be written.
pub fn write(folder: &Path, page: &Page) -> Result<Vec<PathBuf>, WriteError> {
    let charts = folder.join("charts");
    fs::create_dir_all(&charts).map_err(|source| WriteError { path: charts.clone(), source })?;
    // What an earlier run left would pass for this one's.
    remove(&folder.join("report.html"))?;
    remove_old_slices(&charts)?;

    let mut written = Vec::new();
    let mut put = |path: PathBuf, bytes: &[u8]| {
        atomic(&path, |out| out.write_all(bytes))?;
        written.push(path);
        Ok(())
    };
    put(folder.join("scenario.resolved.yaml"), page.scenario_yaml.as_bytes())?;
    let json = serde_json::to_string_pretty(&summary(page)).expect("a tree of plain values prints") + "\n";
    put(folder.join("summary.json"), json.as_bytes())?;
    put(folder.join("timeline.csv"), &timeline(page))?;
    let json = serde_json::to_string_pretty(&layouts(page)).expect("a tree of plain values prints") + "\n";
    put(folder.join("layouts.json"), json.as_bytes())?;
    for (name, svg, png) in drawn(pictures(page)) {
        put(charts.join(format!("{name}.svg")), svg.as_bytes())?;
        put(charts.join(format!("{name}.png")), &png)?;
    }
    put(folder.join("report.html"), html(page).as_bytes())?;
    Ok(written)
}

/// The distinct MIG layouts of each variant, as `slicewise validate` reads them.
fn layouts(page: &Page) -> serde_json::Value {
    let variants = page.variants.iter().map(|v| serde_json::json!({"variant": v.name, "layouts": v.layouts}));
    serde_json::json!({"layouts_version": 1, "variants": variants.collect::<Vec<_>>()})
}

fn pictures(page: &Page) -> Vec<(String, Picture)> {
    let variants = &page.variants;
    let mut all: Vec<(String, Picture)> = [
        ("allocation", allocation(variants)),
        ("gpu-time", gpu_time(variants)),
        ("waits", waits(variants)),
        ("queue", queue(variants)),
    ]
    .map(|(name, picture)| (name.to_owned(), picture))
    .into();
    for (at, variant) in variants.iter().enumerate() {
        all.extend(slices(variant).map(|p| (format!("slices-{}-{}", at + 1, file_name(&variant.name)), p)));
    }
    all
}

/// Pictures as SVG and PNG, in their order whichever is done first.
fn drawn(pictures: Vec<(String, Picture)>) -> Vec<(String, String, Vec<u8>)> {
    pictures.into_par_iter().map(|(name, picture)| (name, picture.svg(), picture.png())).collect()
}

/// A variant's name as part of a file's name on any system.
fn file_name(name: &str) -> String {
    const LONGEST: usize = 40;
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let text: String = name.chars().map(safe).take(LONGEST).collect();
    text.trim_matches('-').to_owned()
}

fn remove(path: &Path) -> Result<(), WriteError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(WriteError { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Removes `slices-1-….svg` and the like: this run may have fewer variants than the one before.
fn remove_old_slices(charts: &Path) -> Result<(), WriteError> {
    let failed = |source| WriteError { path: charts.to_owned(), source };
    for entry in fs::read_dir(charts).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let number = name.strip_prefix("slices-").and_then(|rest| rest.split('-').next());
        let ours = number.is_some_and(|n| n.parse::<usize>().is_ok());
        if ours && (name.ends_with(".svg") || name.ends_with(".png")) {
            remove(&charts.join(name))?;
        }
    }
    Ok(())
}

/// Levels over time, a row per variant and step.
fn timeline(page: &Page) -> Vec<u8> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let modes: BTreeSet<Sharing> =
        page.variants.iter().flat_map(|v| &v.timeline.gpus_by_mode).map(|(mode, _)| *mode).collect();
    let header = ["variant", "time_s", "gpus", "cpus", "running", "queue", "queue_max"].map(str::to_owned);
    let by_mode = modes.iter().map(|mode| format!("gpus_{}", mode.word().replace('-', "_")));
    out.write_record(header.into_iter().chain(by_mode)).expect("a vector takes all");
    for variant in &page.variants {
        let line = &variant.timeline;
        for step in 0..line.gpus.len() {
            let time = line.start_s + step as f64 * line.step_s;
            let held = |mode| line.gpus_by_mode.iter().find(|(m, _)| m == mode).map(|(_, gpus)| gpus);
            let levels = [&line.gpus, &line.cpus, &line.running, &line.queue, &line.queue_max]
                .map(Some)
                .into_iter()
                .chain(modes.iter().map(held))
                .map(|levels| levels.and_then(|l| l.get(step)).copied().map_or_else(String::new, number));
            out.write_field(&variant.name).expect("a vector takes all");
            out.write_record(std::iter::once(number(time)).chain(levels)).expect("a vector takes all");
        }
    }
    out.into_inner().expect("a vector takes all")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use std::collections::BTreeMap;

    fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                all.extend(files(&path));
            } else {
                all.insert(path.clone(), fs::read(&path).expect("a file"));
            }
        }
        all
    }

    #[test]
    fn the_same_page_gives_the_same_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("new/run");
        let written = write(&out, &sample::page()).expect("written");
        let once = files(&out);
        assert_eq!(written.len(), once.len(), "nothing beside what is named: {:?}", once.keys());
        assert_eq!(written.last(), Some(&out.join("report.html")));
        write(&out, &sample::page()).expect("written over");
        assert!(once == files(&out));
    }

    #[test]
    fn fewer_variants_leave_no_old_charts() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut page = sample::page();
        write(folder.path(), &page).expect("written");
        fs::write(folder.path().join("charts/slices-of-mine.svg"), "mine").expect("written");
        page.variants.truncate(1);
        let written = write(folder.path(), &page).expect("written");
        assert_eq!(files(folder.path()).len(), written.len() + 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pods.csv");
        fs::write(&path, "old").expect("written");
        let full = atomic(&path, |out| {
            out.write_all(&[b'x'; 100_000])?;
            Err(ErrorKind::StorageFull.into())
        });
        let message = full.expect_err("the disk is full").to_string();
        assert!(message.contains("pods.csv") && message.contains("free some space"), "{message}");
        assert_eq!(files(folder.path()), [(path, b"old".to_vec())].into());
    }

    #[test]
    fn a_place_that_takes_no_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = folder.path().join("taken");
        fs::write(&taken, "").expect("written");
        let error = write(&taken, &sample::page()).expect_err("a file is no folder");
        assert!(error.to_string().contains("--out"), "{error}");
        for place in [taken.clone(), taken.join("below/it")] {
            let error = writable(&place).expect_err("a file is no folder");
            assert!(error.to_string().contains("--out"), "{error}");
        }
        writable(&folder.path().join("to/be/made")).expect("can be made");
        assert_eq!(files(folder.path()).len(), 1, "nothing is left");
        assert!(atomic(folder.path(), |_| Ok(())).is_err(), "a folder is no file");
        let missing = atomic(&folder.path().join("no/such.csv"), |_| Ok(())).expect_err("no folder");
        assert!(missing.to_string().contains("such.csv"), "{missing}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_device_is_written_and_not_replaced() {
        let error = atomic(Path::new("/dev/full"), |out| out.write_all(b"x")).expect_err("always full");
        assert!(error.to_string().contains("free some space"), "{error}");
        atomic(Path::new("/dev/null"), |out| out.write_all(b"x")).expect("takes all");
        assert!(!fs::metadata("/dev/null").expect("still there").is_file());
    }

    #[test]
    #[cfg(unix)]
    fn files_are_for_everyone_to_read_and_links_stay() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        atomic(&file, |out| out.write_all(b"1")).expect("written");
        assert_eq!(fs::metadata(&file).expect("there").mode() & 0o700, 0o600);
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        atomic(&link, |out| out.write_all(b"2")).expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read(&file).expect("there"), b"2");
    }
}
