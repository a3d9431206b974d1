//! One GPU product: its profiles drawn where they may stand, as text and as a picture.

use super::chart::WIDTH;
use super::font;
use super::picture::{Anchor, Ink, Mark, Picture};
use crate::gpu::{Layout, Product, Profile};

/// Height of a row of boxes.
const ROW: f64 = 26.0;
/// Room for the names of profiles.
const NAMES: f64 = 210.0;

/// Places of a profile in as few rows as hold them without overlap, each row by start.
fn rows(profile: &Profile) -> Vec<Vec<u8>> {
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for start in profile.starts() {
        let free =
            |row: &&mut Vec<u8>| row.last().is_none_or(|last| last + profile.memory_slices() <= *start);
        match rows.iter_mut().find(free) {
            Some(row) => row.push(*start),
            None => rows.push(vec![*start]),
        }
    }
    rows
}

/// What stands in a box: the compute slices and what sets the profile apart.
fn short(profile: &Profile) -> String {
    let slices = profile.compute_slices();
    match profile.name().split_once('g').and_then(|(_, rest)| rest.find(['+', '-']).map(|at| &rest[at..])) {
        Some(attribute) => format!("{slices}g{attribute}"),
        None if profile.is_double_memory() => format!("{slices}g 2x"),
        None => format!("{slices}g"),
    }
}

/// Columns of text that a memory slice takes, its separator included, so that every name fits.
fn cell(product: &Product) -> usize {
    let need = |p: &Profile| (short(p).len() + 1).div_ceil(usize::from(p.memory_slices()));
    product.profiles().iter().map(need).fold(5, usize::max)
}

/// One line of boxes over memory slices: `│   2g    │   2g    │ ·  │ ·  │`.
fn boxes(memory_slices: u8, cell: usize, placed: &[(u8, u8, String)]) -> String {
    let mut line = String::from("│");
    let mut slice = 0;
    while slice < memory_slices {
        let here = placed.iter().find(|(start, _, _)| *start == slice);
        let (size, name) = here.map_or((1, "·"), |(_, size, name)| (*size, name.as_str()));
        let width = usize::from(size) * cell - 1;
        line += &format!("{name:^width$}│");
        slice += size;
    }
    line
}

/// The numbers above the boxes.
fn ruler(memory_slices: u8, cell: usize) -> String {
    (0..memory_slices).map(|s| format!(" {s:^width$}", width = cell - 1)).collect()
}

/// Every profile of a product where it may stand, a line each, under the numbers of the memory
/// slices.
#[must_use]
pub fn placements_text(product: &Product) -> String {
    let widest = product.profiles().iter().map(|p| p.name().len()).max().unwrap_or(0);
    let (indent, cell) = (widest + 45, cell(product));
    let mut text = format!(
        "  {:<widest$}  {:>3} {:>4} {:>7} {:>8} {:>9} {:>4}{}\n",
        "profile",
        "id",
        "enum",
        "compute",
        "memory",
        "SMs",
        "max",
        ruler(product.memory_slices(), cell),
    );
    for profile in product.profiles() {
        let id = profile.id().map_or("-".to_owned(), |id| id.to_string());
        let memory = match profile.memory().0 {
            0 => "-".to_owned(),
            mib => format!("{mib} MiB"),
        };
        let facts = format!(
            "  {:<widest$}  {id:>3} {:>4} {:>7} {memory:>10} {:>7} {:>4}",
            profile.name(),
            profile.nvml_enum(),
            profile.compute_slices(),
            profile.sms(),
            profile.max_instances(),
        );
        for (i, row) in rows(profile).iter().enumerate() {
            let placed: Vec<_> = row.iter().map(|s| (*s, profile.memory_slices(), short(profile))).collect();
            let before = if i == 0 { facts.as_str() } else { "" };
            text += &format!("{before:<indent$}{}\n", boxes(product.memory_slices(), cell, &placed));
        }
    }
    text
}

/// A layout as boxes under the numbers of the memory slices.
#[must_use]
pub fn layout_text(product: &Product, layout: Layout) -> String {
    let placed: Vec<_> = layout
        .slices(product)
        .iter()
        .map(|s| {
            let profile = product.at(s.profile);
            (s.start, profile.memory_slices(), short(profile))
        })
        .collect();
    let (slices, cell) = (product.memory_slices(), cell(product));
    format!("  {}\n  {}\n", ruler(slices, cell), boxes(slices, cell, &placed))
}

/// Every profile of a product where it may stand: a row each over the memory slices.
#[must_use]
pub fn placements(product: &Product) -> Picture {
    let mut picture = Picture::new(&format!("Where MIG slices may stand: {}", product.name()), WIDTH);
    let slices = f64::from(product.memory_slices());
    let cell = (WIDTH - NAMES - 90.0) / slices;
    picture.text((10.0, 24.0), picture.title.clone(), 15.0, Ink::Text, Anchor::Start);
    let note = format!(
        "{} compute and {} memory slices; numbers above the boxes are memory slices, as NVML counts placements",
        product.compute_slices(),
        product.memory_slices()
    );
    picture.text((10.0, 44.0), note, 12.0, Ink::Muted, Anchor::Start);
    let top = 76.0;
    for slice in 0..product.memory_slices() {
        let x = NAMES + (f64::from(slice) + 0.5) * cell;
        picture.text((x, top - 8.0), slice.to_string(), 12.0, Ink::Muted, Anchor::Middle);
    }
    picture.text((WIDTH - 12.0, top - 8.0), "most", 12.0, Ink::Muted, Anchor::End);
    let mut y = top;
    for (index, profile) in product.profiles().iter().enumerate() {
        let id =
            profile.id().map_or_else(|| format!("enum {}", profile.nvml_enum()), |id| format!("id {id}"));
        picture.text((10.0, y + 17.0), profile.name(), 12.0, Ink::Text, Anchor::Start);
        picture.text((NAMES - 12.0, y + 17.0), id, 12.0, Ink::Muted, Anchor::End);
        picture.text(
            (WIDTH - 12.0, y + 17.0),
            profile.max_instances().to_string(),
            12.0,
            Ink::Text,
            Anchor::End,
        );
        for row in rows(profile) {
            for slice in 0..=product.memory_slices() {
                let x = NAMES + f64::from(slice) * cell;
                picture.line(vec![(x, y), (x, y + ROW - 4.0)], Ink::Grid, 1.0, &[]);
            }
            for start in row {
                let (x, wide) = (NAMES + f64::from(start) * cell, f64::from(profile.memory_slices()) * cell);
                picture.marks.push(Mark::Rect {
                    at: (x + 1.5, y),
                    size: (wide - 3.0, ROW - 4.0),
                    ink: Ink::Surface(index),
                    tip: format!(
                        "{} at {start}: {} memory slices, {} SMs",
                        profile.name(),
                        profile.memory_slices(),
                        profile.sms()
                    ),
                });
                let name = font::fit(&short(profile), 11.0, wide - 6.0);
                picture.text((x + wide / 2.0, y + 15.0), name, 11.0, Ink::OnSurface(index), Anchor::Middle);
            }
            y += ROW;
        }
    }
    picture.height = y + 10.0;
    let listed = |p: &Profile| format!("{} at {}", p.name(), list(p.starts()));
    let all: Vec<String> = product.profiles().iter().map(listed).collect();
    picture.alt = format!("{}: {}.", picture.title, all.join("; "));
    picture
}

fn list(starts: &[u8]) -> String {
    starts.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Catalogue;

    #[test]
    fn profiles_are_drawn_over_their_slices() {
        let a30 = Catalogue::builtin().find("a30").expect("in the catalogue");
        let text = placements_text(a30);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].ends_with("│ 1g  │ 1g  │ 1g  │ 1g  │"), "{text}");
        assert!(lines[4].ends_with("│   2g+me   │   2g+me   │"), "{text}");
        assert!(lines[5].ends_with("│          4g           │"), "{text}");
        let ends: Vec<usize> = lines[1..].iter().map(|l| l.chars().count()).collect();
        assert!(ends.windows(2).all(|w| w[0] == w[1]), "{text}");
    }

    #[test]
    fn layouts_show_what_is_free() {
        let a30 = Catalogue::builtin().find("a30").expect("in the catalogue");
        let layout = Layout::place(a30, &["2g@2"]).expect("legal");
        assert!(
            layout_text(a30, layout).ends_with("│  ·  │  ·  │    2g     │\n"),
            "{}",
            layout_text(a30, layout)
        );
    }

    /// Overlapping places go to rows of their own.
    #[test]
    fn no_box_covers_another() {
        for product in Catalogue::builtin().iter().filter(|p| p.is_mig()) {
            for profile in product.profiles() {
                let rows = rows(profile);
                assert_eq!(rows.iter().map(Vec::len).sum::<usize>(), profile.starts().len());
                for row in rows {
                    assert!(row.windows(2).all(|w| w[0] + profile.memory_slices() <= w[1]));
                }
            }
            assert!(placements(product).height > 90.0);
        }
    }
}
