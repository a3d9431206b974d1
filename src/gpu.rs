//! GPU products and the ways MIG can cut them.
//!
//! A MIG GPU has compute slices (7 on the big parts) and memory slices (8 there). A [`Profile`]
//! takes so many of each and may start only at certain *memory* slices; a [`Layout`] is a legal set
//! of profiles with their starts. A100-40GB with `3g.20gb@4` beside four `1g.5gb`:
//!
//! ```text
//! memory slice   0    1    2    3    4    5    6    7
//!              | 1g | 1g | 1g | 1g |        3g         |   compute slices used: 4 + 3 of 7
//! ```
//!
//! The same four slices beside a 3g at 0 do not fit: no plain 1g starts at 7. Names are not keys
//! between products (`1g.10gb` is the plain slice of an A100-80GB and the double-memory slice of an
//! A100-40GB), so a slice is always meant on one product.

mod catalogue;
pub mod driver;
mod fragmentation;
mod layout;
mod places;
mod plan;
mod product;
mod states;
pub mod tools;

pub use catalogue::{Catalogue, CatalogueError};
pub use fragmentation::{Fragmentation, Free};
pub use layout::{Layout, LayoutError, describe};
pub use places::{Geometry, ListOrder, Place, PlaceId, Places, Slice};
pub use plan::{Mode, Plan, Refusal, Step, TargetRefusal, plan, plan_geometry, plan_to};
pub use product::{
    Attribute, Confidence, Engines, Fault, MigSpec, Mps, Product, ProductSpec, Profile, ProfileSpec,
};
pub use states::{Counts, ProfileSet, State, States};
