//! The products we know, from `data/gpus.json` inside the binary.
//!
//! Rows are read through one checked constructor, so nobody past it asks whether a profile fits its
//! product. Change the data file only with a source for the change, and its confidence.

use super::Product;
use crate::diag::nearest;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The table inside the binary.
const BUILTIN: &str = include_str!("../../data/gpus.json");

/// Known GPU products.
#[derive(Clone, Debug)]
pub struct Catalogue {
    products: Vec<Product>,
    sources: BTreeMap<String, String>,
    /// Folded name to position in `products`.
    names: BTreeMap<String, usize>,
}

/// Why a table of products is refused.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It does not read.
    #[error("not a table of GPUs: {0}")]
    Json(#[from] serde_json::Error),
    /// A row contradicts itself or another.
    #[error("{product}: {what}")]
    Row {
        /// Id of the product.
        product: String,
        /// What is wrong.
        what: String,
    },
}

/// The data file. Its other keys are for people.
#[derive(Deserialize)]
struct File {
    sources: BTreeMap<String, String>,
    products: Vec<Product>,
}

impl Catalogue {
    /// The products inside the binary.
    ///
    /// # Panics
    /// Never: a test reads the same table.
    #[must_use]
    pub fn builtin() -> &'static Catalogue {
        static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
            Catalogue::parse(BUILTIN).expect("the table inside the binary is checked by tests")
        });
        &CATALOGUE
    }

    /// Reads and checks a table.
    ///
    /// # Errors
    /// The first row that cannot be.
    pub fn parse(json: &str) -> Result<Catalogue, CatalogueError> {
        let File { sources, mut products } = serde_json::from_str(json)?;
        let mut names = BTreeMap::new();
        for (position, product) in products.iter_mut().enumerate() {
            number_profiles(product);
            let row = |what| CatalogueError::Row { product: product.id.clone(), what };
            check_product(product).map_err(row)?;
            for name in all_names(product) {
                let known = names.insert(fold(name), position);
                if known.is_some_and(|k| k != position) {
                    return Err(row(format!("`{name}` names another product too")));
                }
            }
        }
        Ok(Catalogue { products, sources, names })
    }

    /// The product of an id, an NVML name, a product label or a variant of one; letter case and
    /// blank or `-` make no difference.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&Product> {
        self.names.get(&fold(text.trim())).map(|i| &self.products[*i])
    }

    /// The id or name that was probably meant; for the start of an id, the first such id, so that
    /// `a100` means an A100 and not, by one letter, an A10.
    #[must_use]
    pub fn suggest(&self, text: &str) -> Option<&str> {
        let ids = || self.products.iter().map(Product::id);
        let start = fold(text);
        let family = |id: &&str| id.strip_prefix(&start).is_some_and(|rest| rest.starts_with('-'));
        ids()
            .find(family)
            .or_else(|| nearest(text, ids()))
            .or_else(|| nearest(text, self.products.iter().flat_map(all_names)))
            .or_else(|| ids().find(|id| !text.is_empty() && id.starts_with(&start)))
    }

    /// Products in the table's order: those with MIG first.
    pub fn iter(&self) -> std::slice::Iter<'_, Product> {
        self.products.iter()
    }

    /// What the words in [`Product::source`] and [`super::Profile::source`] stand for.
    #[must_use]
    pub fn sources(&self) -> &BTreeMap<String, String> {
        &self.sources
    }
}

impl<'a> IntoIterator for &'a Catalogue {
    type Item = &'a Product;
    type IntoIter = std::slice::Iter<'a, Product>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// NVML prints blanks where labels have `-`.
fn fold(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

fn all_names(product: &Product) -> impl Iterator<Item = &str> {
    let names = [&product.id, &product.name].into_iter();
    names.chain(&product.variants).chain(&product.labels).map(String::as_str)
}

fn number_profiles(product: &mut Product) {
    for (index, profile) in product.mig.iter_mut().flat_map(|m| &mut m.profiles).enumerate() {
        profile.index = u8::try_from(index).unwrap_or(u8::MAX);
    }
}

/// A product whose profiles can stand on it, told apart by name and by NVML enum.
fn check_product(product: &Product) -> Result<(), String> {
    let ensure = |holds: bool, what: &dyn Fn() -> String| if holds { Ok(()) } else { Err(what()) };
    let Some(mig) = &product.mig else { return Ok(()) };
    // Occupancy is a mask of 16 bits.
    ensure((1..=16).contains(&mig.memory_slices), &|| format!("{} memory slices", mig.memory_slices))?;
    ensure(mig.profiles.len() < usize::from(u8::MAX), &|| "too many profiles".to_owned())?;
    ensure(product.full().is_some(), &|| "no profile takes the whole GPU".to_owned())?;
    for profile in &mig.profiles {
        let what = |text: &str| format!("{}: {text}", profile.name);
        ensure(profile.compute_slices <= mig.compute_slices, &|| what("too many compute slices"))?;
        ensure(0 < profile.memory_slices, &|| what("no memory slice"))?;
        ensure(profile.starts.is_sorted_by(|a, b| a < b), &|| what("starts are not ascending"))?;
        let last = profile.starts.last();
        ensure(last.is_some_and(|s| s.saturating_add(profile.memory_slices) <= mig.memory_slices), &|| {
            what("a place beyond the memory slices")
        })?;
        ensure(profile.engines.is_some() == mig.engines.is_some(), &|| what("engines known in part"))?;
        for other in &mig.profiles[..usize::from(profile.index)] {
            ensure(profile.name != other.name, &|| what("named twice"))?;
            ensure(profile.nvml_enum != other.nvml_enum, &|| what("its NVML enum is taken"))?;
            let both_plain = profile.is_plain() && other.is_plain();
            ensure(!both_plain || profile.compute_slices != other.compute_slices, &|| {
                what("a second plain profile of its size")
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Confidence;

    #[test]
    fn every_known_product_is_there() {
        let catalogue = Catalogue::builtin();
        let mig: Vec<_> = catalogue.iter().filter(|p| p.is_mig()).collect();
        assert_eq!((mig.len(), catalogue.iter().count()), (25, 59));
        assert_eq!(mig.iter().map(|p| p.profiles().len()).sum::<usize>(), 176);
        assert_eq!(mig.iter().filter(|p| p.compute_slices() == 7 && p.memory_slices() == 8).count(), 20);
    }

    #[test]
    fn products_are_found_by_any_of_their_names() {
        for (text, id) in [
            ("a100-40gb", "a100-40gb"),
            ("NVIDIA A100-PCIE-40GB", "a100-40gb"),
            ("nvidia-a100-sxm4-40gb", "a100-40gb"),
            ("NVIDIA-A100-40GB-SXM4", "a100-40gb"),
            ("A30", "a30-24gb"),
            ("Tesla V100-SXM2-16GB", "v100-sxm2-16gb"),
            ("NVIDIA-H100-80GB-HBM3", "h100-80gb-sxm"),
        ] {
            assert_eq!(Catalogue::builtin().find(text).map(Product::id), Some(id), "{text}");
        }
        assert!(Catalogue::builtin().find("G2").is_none());
    }

    #[test]
    fn a_mistyped_product_is_guessed() {
        let catalogue = Catalogue::builtin();
        for (text, meant) in [
            ("a100-40g", Some("a100-40gb")),
            ("NVIDIA A3O", Some("NVIDIA A30")),
            ("h100", Some("h100-80gb-sxm")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(catalogue.suggest(text), meant, "{text}");
        }
    }

    #[test]
    fn facts_are_as_sold_and_as_measured() {
        let h100 = Catalogue::builtin().find("h100-80gb-sxm").expect("in the catalogue");
        assert_eq!((h100.memory_gb(), h100.memory().0, h100.sms()), (80, 81_559, 132));
        let sms: Vec<_> = h100.profiles().iter().filter(|p| p.is_plain()).map(|p| p.sms()).collect();
        assert_eq!(sms, [16, 32, 60, 64, 132]);
        assert_eq!(h100.confidence(), Confidence::High);
        let p100 = Catalogue::builtin().find("p100-pcie-16gb").expect("in the catalogue");
        assert_eq!((p100.mps().clients, p100.mps().memory_limit), (16, false));
    }

    #[test]
    fn impossible_tables_are_refused() {
        let with = |from: &str, to: &str| {
            assert!(BUILTIN.contains(from), "{from}");
            Catalogue::parse(&BUILTIN.replacen(from, to, 1)).expect_err(to).to_string()
        };
        for (from, to, complaint) in [
            ("\"starts\":[0,1,2,3]", "\"starts\":[0,1,2,4]", "a place beyond"),
            ("\"starts\":[0,1,2,3]", "\"starts\":[]", "a place beyond"),
            ("\"name\":\"2g.12gb\"", "\"name\":\"1g.6gb\"", "named twice"),
            ("\"enum\":7", "\"enum\":0", "NVML enum is taken"),
            ("\"id\":\"a100-40gb\"", "\"id\":\"a30\"", "names another product"),
            ("\"compute_slices\":4", "\"compute_slices\":3", "no profile takes the whole GPU"),
            ("\"sms\":56", "\"smss\":56", "unknown field"),
        ] {
            let message = with(from, to);
            assert!(message.contains(complaint), "{message}");
        }
    }
}
