//! Least values of functions of one variable, found the same way on every processor.
//!
//! A grid finds the valleys, golden sections their floors. That asks nothing of the function but one
//! valley within two cells of the grid: kinks are welcome, which the models of sharing are full of.

/// 1 ÷ the golden ratio.
const SECTION: f64 = 0.618_033_988_749_894_9;

/// A place and the value there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Low {
    /// Where.
    pub at: f64,
    /// How low.
    pub value: f64,
}

/// `f` at the points of a grid of `cells` equal cells between `from` and `to`, and at the floor of each of
/// its valleys to `width`, in ascending order of place: what lies as low as the least value can be seen.
/// Calls `f` at `cells` + 1 points and about 5·log₁₀(step ÷ width) times a valley.
///
/// # Panics
/// Without a cell, or unless `from < to` and `0 < width`.
pub fn scan(from: f64, to: f64, cells: u32, width: f64, mut f: impl FnMut(f64) -> f64) -> Vec<Low> {
    assert!(0 < cells && from < to && 0.0 < width, "a grid has cells");
    let place = |cell: u32| from + (to - from) * f64::from(cell) / f64::from(cells);
    let grid: Vec<Low> = (0..=cells).map(place).map(|at| Low { at, value: f(at) }).collect();
    let mut seen = grid.clone();
    for (i, low) in grid.iter().enumerate() {
        let before = if i == 0 { *low } else { grid[i - 1] };
        let after = grid.get(i + 1).copied().unwrap_or(*low);
        if low.value <= before.value && low.value <= after.value {
            seen.push(section(before.at, after.at, width, &mut f));
        }
    }
    seen.sort_by(|a, b| a.at.total_cmp(&b.at));
    seen
}

/// The least value of `f` between `from` and `to`, by [`scan`]; the first of equal ones.
///
/// # Panics
/// As [`scan`].
pub fn least(from: f64, to: f64, cells: u32, width: f64, f: impl FnMut(f64) -> f64) -> Low {
    let seen = scan(from, to, cells, width, f);
    let first = *seen.first().expect("a grid has points");
    seen.into_iter().fold(first, |best, low| if low.value < best.value { low } else { best })
}

/// The floor of the valley between two places, to `width`.
fn section(mut from: f64, mut to: f64, width: f64, f: &mut impl FnMut(f64) -> f64) -> Low {
    let mut eval = |at: f64| Low { at, value: f(at) };
    let mut left = eval(to - SECTION * (to - from));
    let mut right = eval(from + SECTION * (to - from));
    while width < to - from {
        if left.value <= right.value {
            to = right.at;
            right = left;
            left = eval(to - SECTION * (to - from));
        } else {
            from = left.at;
            left = right;
            right = eval(from + SECTION * (to - from));
        }
    }
    if left.value <= right.value { left } else { right }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_of_smooth_and_kinked_valleys_are_found() {
        let smooth = least(0.0, 3.0, 16, 1e-9, |x| (x - 1.234_5) * (x - 1.234_5));
        assert!((smooth.at - 1.234_5).abs() < 1e-7 && smooth.value < 1e-14, "{smooth:?}");
        let kinked = least(-1.0, 1.0, 8, 1e-9, |x| (x - 0.3).abs());
        assert!((kinked.at - 0.3).abs() < 1e-8, "{kinked:?}");
    }

    #[test]
    fn the_lower_of_two_valleys_wins_and_ends_count() {
        let two = |x: f64| (x - 1.0) * (x - 1.0) * (x - 4.0) * (x - 4.0) + 0.1 * x;
        assert!((least(0.0, 5.0, 20, 1e-9, two).at - 1.0).abs() < 0.02);
        assert_eq!(least(0.0, 1.0, 4, 1e-9, |x| x).at, 0.0);
        assert_eq!(least(0.0, 1.0, 4, 1e-9, |x| -x).at, 1.0);
    }

    #[test]
    fn a_plateau_is_all_of_its_points() {
        let seen = scan(0.0, 1.0, 10, 1e-6, |x| if x < 0.5 { 1.0 } else { 0.0 });
        let ends = seen.iter().filter(|low| low.value == 0.0).map(|low| low.at);
        let (first, last) = ends.fold((1.0, 0.0), |(a, b): (f64, f64), at| (a.min(at), b.max(at)));
        assert!((first, last) == (0.5, 1.0), "{first} {last}");
        assert!(seen.is_sorted_by(|a, b| a.at <= b.at));
    }
}
