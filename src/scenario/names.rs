//! What scenarios ask of the GPU catalogue.

use super::Names;
use crate::gpu::{Catalogue, Layout};

impl Names for Catalogue {
    fn gpu_model(&self, name: &str) -> Result<(), Option<String>> {
        match self.find(name) {
            Some(_) => Ok(()),
            None => Err(self.suggest(name).map(str::to_owned)),
        }
    }

    fn mig_layout(&self, model: &str, profiles: &[String]) -> Result<(), String> {
        let product = self.find(model).expect("asked only about models that are known");
        Layout::place(product, profiles).map(|_| ()).map_err(|error| match error.help() {
            Some(help) => format!("{error}; {help}"),
            None => error.to_string(),
        })
    }
}
