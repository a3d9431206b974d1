//! nos' planner on true places: a GPU may become whatever has places beside its used slices.
//!
//! nos takes geometries from a table of models, as if slices had no place. Here every GPU gets a table of
//! its own: all geometries of its product, in full layouts that keep the used slices where they stand.
//! The first of equal score is the one for which the fewest free slices go.

use super::resources::{Counts, Names};
use super::snapshot::Snapshot;
use crate::gpu::{Geometry, PlaceId};
use crate::id::ModelId;
use crate::partition::boards::Board;
use std::collections::BTreeMap;

impl Snapshot {
    /// Lets a GPU be cut into all geometries of its product that have places beside the used slices of
    /// `board`; `false` if the snapshot has no such node or GPU.
    ///
    /// The node is looked at anew when it is inserted again: then this must be done again.
    pub fn place(&mut self, node: &str, board: &Board<'_>) -> bool {
        let model = self.model_of(board);
        self.set_model(node, board.index, model)
    }

    /// The table of a GPU, made once for all that stand alike.
    fn model_of(&mut self, board: &Board<'_>) -> ModelId {
        let key = (board.product.id().to_owned(), board.state, board.used.bits());
        if let Some(known) = self.models().placed(&key) {
            return known;
        }
        let candidates = candidates(board, self.names_mut());
        self.add_placed(key, candidates)
    }
}

/// Geometries of full layouts around the used slices, those first for which the fewest free slices go.
fn candidates(board: &Board<'_>, names: &mut Names) -> Vec<Counts> {
    let states = board.product.states();
    let stands = states.layout(board.state).places();
    // What it takes to get there: slices that go, slices that come, odd profiles among these.
    let mut best: BTreeMap<Geometry, (usize, usize, usize)> = BTreeMap::new();
    for state in states.iter() {
        let places = states.layout(state).places();
        if !board.used.within(places) || states.largest_free(state).is_some() {
            continue;
        }
        let created = places.without(stands);
        let odd = |place: &PlaceId| !board.product.at(states.place(*place).slice.profile).is_plain();
        let cost = (stands.without(places).len(), created.len(), created.iter().filter(odd).count());
        let known = best.entry(states.geometry(state)).or_insert(cost);
        *known = cost.min(*known);
    }
    let mut order: Vec<_> = best.into_iter().collect();
    order.sort_by_key(|(geometry, (gone, created, odd))| (*gone, *odd, *created, *geometry));
    let counts = |geometry: Geometry| -> Counts {
        let resource = |(profile, count): (u8, u8)| {
            (names.intern(&board.product.at(profile).resource()), i64::from(count))
        };
        geometry.counts().map(resource).collect()
    };
    order.into_iter().map(|(geometry, _)| geometry).map(counts).collect()
}
