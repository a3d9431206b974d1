//! Upper bounds of scores, in float32: which nodes can still be the best.
//!
//! A scan bounds the score of every node, several at once, scores one of the highest bound exactly,
//! and then only those whose bound reaches the best score so far. Bounds decide nothing: they only
//! say whom not to ask.

/// Stands for a node that refuses; bounds of the others are at least −1.
pub(super) const REFUSED: f32 = -1e9;

/// Bounds of nodes in the order in which they are visited.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    pub(super) values: Vec<f32>,
    /// The highest of every [`CHUNK`] of them.
    tops: Vec<f32>,
}

/// Bounds under one top: few tops to compare, few bounds to search.
const CHUNK: usize = 32;

impl Bounds {
    /// The first node of the highest bound, if some node does not refuse. To be called before
    /// [`Bounds::at_least`].
    pub(super) fn highest(&mut self) -> Option<usize> {
        self.tops.clear();
        self.tops.extend(self.values.chunks(CHUNK).map(top));
        let highest = self.tops.iter().copied().fold(REFUSED, f32::max);
        let start = CHUNK * self.tops.iter().position(|top| *top == highest)?;
        let place = self.values[start..].iter().position(|bound| *bound == highest);
        (REFUSED < highest).then(|| start + place.expect("it was seen in this chunk"))
    }

    /// The nodes whose bound is at least `least`, in order.
    pub(super) fn at_least(&self, least: f32) -> impl Iterator<Item = usize> + '_ {
        let chunks = self.tops.iter().enumerate().filter(move |(_, top)| least <= **top);
        chunks.flat_map(move |(chunk, _)| {
            let places = chunk * CHUNK..self.values.len().min((chunk + 1) * CHUNK);
            places.filter(move |place| least <= self.values[*place])
        })
    }
}

fn top(bounds: &[f32]) -> f32 {
    const LANES: usize = 4;
    let mut top = [REFUSED; LANES];
    let mut fours = bounds.chunks_exact(LANES);
    for four in &mut fours {
        for (top, bound) in top.iter_mut().zip(four) {
            *top = if *top < *bound { *bound } else { *top };
        }
    }
    top.iter().chain(fours.remainder()).copied().fold(REFUSED, f32::max)
}

/// How many of some nodes do not refuse.
pub(super) fn count(bounds: &[f32]) -> usize {
    bounds.iter().map(|bound| u32::from(REFUSED < *bound)).sum::<u32>() as usize
}

/// The place of the first node that does not refuse after `skip` others.
pub(super) fn nth(bounds: &[f32], mut skip: usize) -> Option<usize> {
    for (chunk, bounds) in bounds.chunks(CHUNK).enumerate() {
        let here = count(bounds);
        if skip < here {
            let mut fits = (0..bounds.len()).filter(|place| REFUSED < bounds[*place]);
            return fits.nth(skip).map(|place| chunk * CHUNK + place);
        }
        skip -= here;
    }
    None
}
