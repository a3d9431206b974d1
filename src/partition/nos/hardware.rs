//! Where nos' tables of geometries differ from what a GPU can hold.
//!
//! nos compares model names as texts and takes geometries as they are listed, so a slip in a table
//! becomes a cluster that is never partitioned, or a geometry that the driver refuses.

use super::table::{Geometry, Tables};
use crate::gpu::driver::Driver;
use crate::gpu::{self, Product, Profile, ProfileSet, State};
use std::collections::BTreeSet;

/// What is wrong with the geometries that a table lists under one model name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The model as the table writes it.
    pub model: String,
    /// Whether some board of the product carries this label; else nos never finds the entry.
    pub is_label: bool,
    /// Listed, but no layout has it.
    pub infeasible: Vec<Infeasible>,
    /// Profiles under names that only older drivers use, with the name of today.
    pub old_names: Vec<(String, String)>,
    /// Maximal geometries of the base profiles that are not listed.
    pub missing: Vec<gpu::Geometry>,
    /// Listed, though another slice fits beside it.
    pub not_maximal: Vec<gpu::Geometry>,
    /// Listed, but refused by the driver in some orders of creation; nos gives no places.
    pub depends_on_order: Vec<gpu::Geometry>,
    /// Profiles that no listed geometry has, by index.
    pub never_offered: Vec<u8>,
}

/// A listed geometry that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infeasible {
    /// As listed.
    pub geometry: Geometry,
    /// Profiles of it that the product has not.
    pub unknown: Vec<String>,
}

/// Checks every entry of a table that names a product, by any of its names.
#[must_use]
pub fn check(product: &Product, tables: &Tables) -> Vec<Check> {
    let folded = |text: &str| text.to_lowercase().replace(' ', "-");
    let names: BTreeSet<String> = product.names().map(folded).collect();
    // `NVIDIA-A30` and `A30`: nos' entries leave the vendor out at times.
    let of_it =
        |model: &str| names.contains(&folded(model)) || names.contains(&folded(&format!("nvidia {model}")));
    tables
        .iter()
        .filter(|(model, _)| of_it(model))
        .map(|(model, listed)| entry(product, model, listed))
        .collect()
}

fn entry(product: &Product, model: &str, listed: &[Geometry]) -> Check {
    let states = product.states();
    let mut check = Check {
        model: model.to_owned(),
        is_label: boards(product).any(|board| board == model),
        infeasible: Vec::new(),
        old_names: Vec::new(),
        missing: Vec::new(),
        not_maximal: Vec::new(),
        depends_on_order: Vec::new(),
        never_offered: Vec::new(),
    };
    let maximal = states.maximal_geometries(&product.profiles_of(ProfileSet::Base));
    let mut offered = BTreeSet::new();
    let mut feasible = Vec::new();
    for geometry in listed {
        let unknown: Vec<String> =
            geometry.keys().filter(|name| product.profile(name).is_none()).cloned().collect();
        let known = geometry.iter().filter_map(|(name, n)| Some((product.profile(name)?, *n)));
        for (profile, _) in known.clone() {
            offered.insert(profile.index());
        }
        for name in geometry.keys() {
            let today = product.profile(name).map(Profile::name);
            let old = today.filter(|today| today != name).map(|today| (name.clone(), today.to_owned()));
            check.old_names.extend(old.filter(|old| !check.old_names.contains(old)));
        }
        let each = known.flat_map(|(p, n)| std::iter::repeat_n(p.index(), usize::try_from(n).unwrap_or(0)));
        let wanted = gpu::Geometry::of(each);
        if !unknown.is_empty() || states.with_geometry(wanted).is_empty() {
            check.infeasible.push(Infeasible { geometry: geometry.clone(), unknown });
        } else {
            feasible.push(wanted);
        }
    }
    let driver = Driver::new(product);
    let smallest_first = |g: gpu::Geometry| {
        let order: Vec<u8> = states.by_size(g).collect();
        driver.create_all(State::EMPTY, order.into_iter().rev()).is_some()
    };
    check.missing = maximal.iter().filter(|g| !feasible.contains(g)).copied().collect();
    check.not_maximal = feasible.iter().filter(|g| !maximal.contains(g)).copied().collect();
    check.depends_on_order = feasible.iter().filter(|g| !smallest_first(**g)).copied().collect();
    check.never_offered =
        product.profiles().iter().map(Profile::index).filter(|p| !offered.contains(p)).collect();
    check
}

/// Values of `nvidia.com/gpu.product` on boards of the product.
fn boards(product: &Product) -> impl Iterator<Item = String> + '_ {
    let names = std::iter::once(product.name()).chain(product.variants().iter().map(String::as_str));
    names.map(|name| name.replace(' ', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Catalogue;

    fn checks(id: &str, tables: &Tables) -> Vec<Check> {
        check(Catalogue::builtin().find(id).expect("in the catalogue"), tables)
    }

    fn names(id: &str, geometries: &[gpu::Geometry]) -> Vec<String> {
        let product = Catalogue::builtin().find(id).expect("in the catalogue");
        geometries.iter().map(|g| g.describe(product)).collect()
    }

    /// What an independent comparison of both tables with the hardware found.
    #[test]
    fn the_slips_of_both_tables_are_found() {
        let (deployed, builtin) = (Tables::deployed(), Tables::builtin());
        let labels = |checks: &[Check]| -> Vec<(String, bool)> {
            checks.iter().map(|c| (c.model.clone(), c.is_label)).collect()
        };
        let forty = checks("a100-40gb", &deployed);
        assert_eq!(
            labels(&forty),
            [
                ("A100-SXM4-40GB".to_owned(), false),
                ("NVIDIA-A100-40GB-PCIe".to_owned(), false),
                ("NVIDIA-A100-SXM4-40GB".to_owned(), true),
            ]
        );
        for check in &forty {
            assert_eq!(check.infeasible, []);
            assert_eq!(names("a100-40gb", &check.missing), ["3g.20gb + 1g.5gb x4", "4g.20gb + 3g.20gb"]);
            assert_eq!(check.not_maximal.len(), 2);
            assert_eq!(check.depends_on_order.len(), 2);
            assert_eq!(check.never_offered.len(), 2);
        }
        let eighty = checks("a100-80gb", &deployed);
        assert!(eighty.iter().all(|c| c.is_label) && eighty.len() == 2);
        let slip = &eighty[0].infeasible;
        assert_eq!(slip.len(), 1);
        assert_eq!(slip[0].unknown, ["3g.20gb"]);
        assert_eq!(eighty[0].old_names, [("7g.79gb".to_owned(), "7g.80gb".to_owned())]);
        assert_eq!(eighty[0].missing.len(), 3);
        let eighty = checks("a100-80gb", &builtin);
        assert_eq!(eighty.iter().map(|c| c.infeasible.len()).collect::<Vec<_>>(), [2]);
        assert_eq!(eighty[0].missing.len(), 4);
        let a30 = checks("a30-24gb", &deployed);
        assert_eq!(labels(&a30), [("A30".to_owned(), false)]);
        assert!(a30[0].infeasible.is_empty() && a30[0].missing.is_empty());
        assert_eq!(checks("h100-80gb-sxm", &deployed), []);
    }
}
