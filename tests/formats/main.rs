//! Other programs' files: what is written can be read again under their rules, and what they would
//! refuse is refused here.
//!
//! `SLICEWISE_FORMATS=10000 cargo test --test formats` tries so many plans for each format; 1,000 are
//! the rule.

mod broken;
mod broken_bytes;
mod broken_files;
mod labels;
mod plans;
mod roundtrip;

/// Plans for each format.
fn cases() -> u64 {
    std::env::var("SLICEWISE_FORMATS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000)
}

/// Numbers from a seed (SplitMix64), so that a failing case can be named and repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % most as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
