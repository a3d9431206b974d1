//! What is asked for: slices on one GPU, with places or without.

use crate::gpu::{Layout, Product};

/// Slices that one GPU should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it comes from: `command line`, or a group of a scenario.
    pub origin: String,
    /// The product that it is for; on any, where none is named.
    pub product: Option<String>,
    /// Slices as [`Layout::place`] reads them: `3g.20gb@4`, or `1g` where any place will do.
    pub slices: Vec<String>,
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No slice in it.
    #[error("no slice is named")]
    Empty,
    /// A count that is none, or without a slice before it.
    #[error("`{0}` is no count of the slice before it")]
    Count(String),
}

impl Target {
    /// Reads slices as people write them: `3g@4 1g 1g`, `3g, 1g x4`, `3g + 1g*4`.
    ///
    /// # Errors
    /// The first word that cannot be.
    pub fn parse(text: &str, origin: &str, product: Option<&str>) -> Result<Target, TargetError> {
        let mut slices: Vec<String> = Vec::new();
        // A `+` alone or before a blank joins slices; inside a word it belongs to a profile, `1g+me`.
        let spaced = text.replace(" + ", " ").replace("+ ", " ").replace(['*', '×'], " x");
        for word in spaced.split([',', ' ', '\t']).filter(|w| !w.is_empty()) {
            let count = word.strip_prefix(['x', 'X']);
            match count {
                None => slices.push(word.to_owned()),
                Some(count) => {
                    let wrong = || TargetError::Count(word.to_owned());
                    let count: usize =
                        count.parse().ok().filter(|n| (1..=64).contains(n)).ok_or_else(wrong)?;
                    let last = slices.last().cloned().ok_or_else(wrong)?;
                    slices.extend(std::iter::repeat_n(last, count - 1));
                }
            }
        }
        if slices.is_empty() {
            return Err(TargetError::Empty);
        }
        Ok(Target { origin: origin.to_owned(), product: product.map(str::to_owned), slices })
    }

    /// As it was written, more or less.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let mut rest = self.slices.as_slice();
        while let Some(first) = rest.first() {
            let many = rest.iter().take_while(|s| *s == first).count();
            let comma = if text.is_empty() { "" } else { " " };
            let times = if many == 1 { String::new() } else { format!(" x{many}") };
            text += &format!("{comma}{first}{times}");
            rest = &rest[many..];
        }
        text
    }

    /// Whether every slice has its place.
    #[must_use]
    pub fn is_placed(&self) -> bool {
        self.slices.iter().all(|s| s.contains('@'))
    }

    /// Whether some slice has its place.
    pub(super) fn has_places(&self) -> bool {
        self.slices.iter().any(|s| s.contains('@'))
    }

    /// A layout of it, whatever stands.
    pub(super) fn place(&self, product: &Product) -> Result<Layout, crate::gpu::LayoutError> {
        Layout::place(product, &self.slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_slices_in_many_ways() {
        for (text, slices, described) in [
            ("3g@4 1g@0", "3g@4 1g@0", "3g@4 1g@0"),
            ("3g, 1g x4", "3g 1g 1g 1g 1g", "3g 1g x4"),
            ("3g.20gb + 1g.5gb*2", "3g.20gb 1g.5gb 1g.5gb", "3g.20gb 1g.5gb x2"),
            ("1g.5gb+me 1g", "1g.5gb+me 1g", "1g.5gb+me 1g"),
            ("1g x1", "1g", "1g"),
        ] {
            let target = Target::parse(text, "here", None).expect(text);
            assert_eq!(target.slices.join(" "), slices, "{text}");
            assert_eq!(target.describe(), described, "{text}");
        }
        for text in ["", " , ", "x4", "1g x0", "1g x999", "1g xx"] {
            assert!(Target::parse(text, "here", None).is_err(), "{text}");
        }
    }
}
