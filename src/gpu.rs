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
//!
//! | part | answers |
//! |---|---|
//! | [`Catalogue`], [`Product`] | what is known of a product, and how surely; a user's rows pass the same constructor |
//! | [`Layout`], [`Places`] | which slices can stand together; sets of places are one word |
//! | [`States`] | every layout in tables: what fits, where, what comes next, in one lookup |
//! | [`plan`](plan()) | from what stands to what is wanted, in the fewest steps, or who is in the way |
//! | [`driver`] | where the driver puts a slice that was given no place (a fitted model) |
//! | [`tools`] | where mig-parted, the nos agent and the DRA driver end up |
//! | [`Fragmentation`] | how much of what is free can serve a demand |

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
