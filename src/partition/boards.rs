//! MIG GPUs with the places of their slices, which nos' own snapshot does not have.

use crate::gpu::driver::Driver;
use crate::gpu::{Geometry, PlaceId, Places, Product, State};
use crate::id::NodeId;
use crate::partition::nos::{Counts, Names};
use std::collections::BTreeMap;

/// One GPU.
#[derive(Clone, Copy, Debug)]
pub struct Board<'a> {
    /// Index on its node.
    pub index: i64,
    /// What it is.
    pub product: &'a Product,
    /// What stands on it.
    pub state: State,
    /// Slices that pods hold.
    pub used: Places,
    /// Whether the places are known; otherwise they are those that the driver's model would have
    /// chosen, largest slices first.
    pub known: bool,
}

/// The GPUs of nodes, by index.
pub type Boards<'a> = BTreeMap<NodeId, Vec<Board<'a>>>;

/// Why a GPU's slices can have no places.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// The product has no such profile.
    #[error("the {product} has no MIG profile `{resource}`")]
    Profile {
        /// Product id.
        product: String,
        /// Resource of the slice.
        resource: String,
    },
    /// No layout has all of them.
    #[error("no layout of the {product} has {slices}")]
    Slices {
        /// Product id.
        product: String,
        /// The slices.
        slices: String,
    },
}

/// The profile that a resource stands for on a product.
#[must_use]
pub fn profile_of(product: &Product, resource: &str) -> Option<u8> {
    // What the device plugin would call it, and names of older drivers.
    let found = product.profiles().iter().find(|profile| profile.resource() == resource);
    found.or_else(|| product.resolve_profile(resource)).map(crate::gpu::Profile::index)
}

/// The slices of counts by resource as profiles of a product.
///
/// # Errors
/// A profile that it has not, or more slices than any layout has.
pub fn geometry(product: &Product, names: &Names, counts: &Counts) -> Result<Geometry, Unplaced> {
    /// More than any GPU holds, and what a geometry counts to.
    const MOST: i64 = 15;
    let mut profiles = Vec::new();
    for (name, count) in counts.iter().filter(|(_, count)| 0 < *count) {
        let resource = names.text(name);
        let profile = profile_of(product, resource).ok_or_else(|| Unplaced::Profile {
            product: product.id().to_owned(),
            resource: resource.to_owned(),
        })?;
        if MOST <= count {
            let slices = format!("{count} slices of `{resource}`");
            return Err(Unplaced::Slices { product: product.id().to_owned(), slices });
        }
        profiles.extend((0..count).map(|_| profile));
    }
    Ok(Geometry::of(profiles))
}

impl<'a> Board<'a> {
    /// A GPU on which these slices stand, `used` among them, at the places that the driver's model
    /// gives them when larger ones are created first, used ones before free ones of their profile. If
    /// the driver would refuse that, any layout that has them is taken, the first by number.
    ///
    /// # Errors
    /// If no layout has them.
    pub fn guessed(
        index: i64,
        product: &'a Product,
        names: &Names,
        used: &Counts,
        free: &Counts,
    ) -> Result<Board<'a>, Unplaced> {
        let mut all = used.clone();
        all.add_all(free);
        let wanted = geometry(product, names, &all)?;
        let held = geometry(product, names, used)?;
        let states = product.states();
        let driver = Driver::new(product);
        let made = driver.create_all(State::EMPTY, states.by_size(wanted).collect::<Vec<_>>());
        let state = made.or_else(|| states.with_geometry(wanted).first().copied());
        let state = state.ok_or_else(|| Unplaced::Slices {
            product: product.id().to_owned(),
            slices: wanted.describe(product),
        })?;
        let mut left = held;
        let mut used = Places::NONE;
        for place in states.layout(state).places().iter() {
            let one = Geometry::EMPTY.plus(states.place(place).slice.profile);
            if let Some(rest) = left.minus(one) {
                left = rest;
                used = used.with(Places::one(place));
            }
        }
        assert!(left.is_empty(), "what is held stands");
        Ok(Board { index, product, state, used, known: false })
    }

    /// Slices that stand and that no pod holds.
    #[must_use]
    pub fn free(&self) -> Places {
        self.product.states().layout(self.state).places().without(self.used)
    }

    /// The layout of the slices that pods hold alone.
    ///
    /// # Panics
    /// If a used slice does not stand.
    #[must_use]
    pub fn pinned(&self) -> State {
        self.product.states().find(self.used).expect("a part of a layout is one")
    }

    /// The resource of a place's slice.
    #[must_use]
    pub fn resource(&self, place: PlaceId) -> String {
        self.product.at(self.product.states().place(place).slice.profile).resource()
    }
}
