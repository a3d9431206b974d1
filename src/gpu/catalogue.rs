//! The products we know, from `data/gpus.json` inside the binary.
//!
//! Users lay rows of their own over it ([`Catalogue::with`]); both kinds pass the same constructor.
//! Change the data file only with a source for the change, and its confidence.

use super::product::{Fault, Product, ProductSpec};
use super::states::{State, enumerate};
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

/// Most layouts of a product that its tables number.
const STATES_MAX: usize = 60_000;

/// Why a table of products is refused.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It does not read.
    #[error("not a table of GPUs: {0}")]
    Json(#[from] serde_json::Error),
    /// A row contradicts itself or another.
    #[error("{product}: {}", .fault.what)]
    Row {
        /// Id of the product.
        product: String,
        /// What is wrong.
        fault: Fault,
    },
}

/// The data file. Its other keys are for people.
#[derive(Deserialize)]
struct File {
    sources: BTreeMap<String, String>,
    products: Vec<ProductSpec>,
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
        let File { sources, products } = serde_json::from_str(json)?;
        let mut catalogue = Catalogue { products: Vec::new(), sources, names: BTreeMap::new() };
        for spec in products {
            let product = spec.id.clone();
            let row = |fault| CatalogueError::Row { product: product.clone(), fault };
            let made = Product::new(spec).map_err(|mut faults| row(faults.swap_remove(0)))?;
            catalogue.insert(made).map_err(row)?;
        }
        Ok(catalogue)
    }

    /// This catalogue and one more product, which takes the place of the one with its id, if any.
    ///
    /// # Errors
    /// Everything that is wrong with the row, such as a name of another product, a count of
    /// instances that its places do not give, or more layouts than the tables number.
    pub fn with(&self, spec: ProductSpec) -> Result<Catalogue, Vec<Fault>> {
        let product = Product::new(spec)?;
        let fault = |profile, key, what| Err(vec![Fault { profile, key, what }]);
        if enumerate(&product, STATES_MAX).is_none() {
            return fault(None, "profiles", format!("more than {STATES_MAX} layouts of these profiles"));
        }
        let mut faults = Vec::new();
        for (position, profile) in product.profiles().iter().enumerate() {
            let most = product.states().more(State::EMPTY, profile.index());
            if most != profile.max_instances() {
                let what = format!("{}: its places hold {most} at most", profile.name());
                faults.push(Fault { profile: Some(position), key: "max", what });
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut catalogue = self.clone();
        if let Some(old) = catalogue.products.iter().position(|p| p.id() == product.id()) {
            catalogue.names.retain(|_, position| *position != old);
            // Its place is filled again below, so positions in `names` stay right.
            catalogue.enter(old, &product).map_err(|fault| vec![fault])?;
            catalogue.products[old] = product;
        } else {
            catalogue.insert(product).map_err(|fault| vec![fault])?;
        }
        Ok(catalogue)
    }

    fn insert(&mut self, product: Product) -> Result<(), Fault> {
        self.enter(self.products.len(), &product)?;
        self.products.push(product);
        Ok(())
    }

    /// Takes down the names of a product that stands, or will stand, at `position`.
    fn enter(&mut self, position: usize, product: &Product) -> Result<(), Fault> {
        for (i, name) in product.names().enumerate() {
            let known = self.names.insert(fold(name), position);
            if known.is_some_and(|k| k != position) {
                let key = ["id", "name"].get(i).copied().unwrap_or("labels");
                return Err(Fault {
                    profile: None,
                    key,
                    what: format!("`{name}` names another product too"),
                });
            }
        }
        Ok(())
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
            .or_else(|| nearest(text, self.products.iter().flat_map(Product::names)))
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
