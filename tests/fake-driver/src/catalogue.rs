//! The table of GPUs as this crate reads it.

use serde::Deserialize;
use std::sync::LazyLock;

/// A MIG profile.
#[derive(Debug, Deserialize)]
pub(crate) struct Profile {
    pub(crate) name: String,
    id: Option<u32>,
    #[serde(rename = "enum")]
    pub(crate) nvml_enum: u32,
    pub(crate) compute: u32,
    pub(crate) memory: u32,
    pub(crate) memory_mib: u64,
    pub(crate) sms: u32,
    pub(crate) max: u32,
    pub(crate) starts: Vec<u32>,
    /// Copy, NVDEC, NVENC, JPEG, OFA.
    pub(crate) engines: Option<[u32; 5]>,
}

impl Profile {
    /// Its number; where nobody has published it, 100 and the enum.
    pub(crate) fn id(&self) -> u32 {
        self.id.unwrap_or(100 + self.nvml_enum)
    }

    /// The name as the driver reports it, with a word on a made-up number.
    pub(crate) fn reported_name(&self) -> String {
        match self.id {
            Some(_) => format!("MIG {}", self.name),
            None => format!("MIG {} (made-up id)", self.name),
        }
    }

    pub(crate) fn is_double_memory(&self) -> bool {
        self.nvml_enum == 9
    }
}

/// What MIG makes of a GPU.
#[derive(Debug, Deserialize)]
pub(crate) struct Mig {
    pub(crate) memory_slices: u32,
    pub(crate) engines: Option<[u32; 5]>,
    pub(crate) profiles: Vec<Profile>,
}

/// A GPU.
#[derive(Debug, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) architecture: String,
    pub(crate) memory_mib: u64,
    pub(crate) mig: Option<Mig>,
}

impl Product {
    /// Ampere keeps its MIG mode over a reboot; later GPUs lose it with the driver.
    pub(crate) fn keeps_mode(&self) -> bool {
        self.architecture == "Ampere"
    }

    pub(crate) fn profile(&self, id: u32) -> Option<&Profile> {
        self.mig.as_ref()?.profiles.iter().find(|p| p.id() == id)
    }

    pub(crate) fn by_enum(&self, nvml_enum: u32) -> Option<&Profile> {
        self.mig.as_ref()?.profiles.iter().find(|p| p.nvml_enum == nvml_enum)
    }
}

#[derive(Deserialize)]
struct File {
    products: Vec<Product>,
}

static PRODUCTS: LazyLock<Vec<Product>> = LazyLock::new(|| {
    let file: File = serde_json::from_str(include_str!("../../../data/gpus.json")).expect("the catalogue");
    file.products
});

/// The product of an id of the catalogue.
pub(crate) fn product(id: &str) -> &'static Product {
    PRODUCTS.iter().find(|p| p.id == id).unwrap_or_else(|| panic!("no product `{id}` in the catalogue"))
}
