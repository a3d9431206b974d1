//! Whole fits of small files.

use super::*;
use crate::trace::steps::{Columns, read_steps};

const OPTIONS: Options = Options {
    full: 7,
    needed: 3,
    kappa: Parameter::Given(1.10),
    alpha: Parameter::Given(0.10),
    epsilon: Parameter::Fitted,
};

fn fitted(text: &str) -> Fit {
    let columns = Columns { full: 7, ..Columns::default() };
    fit(&read_steps(&columns, "m.csv", text.as_bytes()).expect("a right file").rows, &OPTIONS)
}

/// Host .45 and fill .90 on every slice, to six digits; `few` lacks slices, `none` the full instance.
const SLICES: &str = "class,slice,time\n\
    medium,1g.5gb,3.6\nmedium,2g.10gb,2.025\nmedium,3g.20gb,1.5\nmedium,4g.20gb,1.2375\nmedium,7g.40gb,1\n\
    few,1g.5gb,3\nfew,2g.10gb,2\nfew,7g.40gb,1\n\
    none,1g.5gb,3\nnone,2g.10gb,2\nnone,3g.20gb,1.5\n";

#[test]
fn classes_on_slices_are_fitted_or_told_why_not() {
    let fit = fitted(SLICES);
    let [part] = &fit.parts[..] else { panic!("one part: {fit:?}") };
    let [medium] = &part.mig.as_ref().expect("slices").classes[..] else { panic!("one class") };
    assert!((medium.host - 0.45).abs() < 1e-3 && (medium.fill - 0.90).abs() < 1e-3, "{medium:?}");
    assert_eq!(medium.points.len(), 4);
    let why: Vec<&str> = part.passed_over.iter().map(|p| p.why.as_str()).collect();
    assert!(why[0].contains("2 smaller slices") && why[1].contains("full instance"), "{why:?}");
    let text = text(&fit);
    for part in ["medium  0.450  0.900", "this model, in sample", "few", "κ = 1.1 (given)"] {
        assert!(text.contains(part), "`{part}` in\n{text}");
    }
}

#[test]
fn a_loop_that_was_shared_in_three_ways_is_fitted() {
    // Our own numbers: host 0, fill .5, ε = .1.
    let mut text = "class,mode,slice,neighbours,time\nloop,whole,,,0.1\n".to_owned();
    for (pods, mps, turns) in [(2, 0.105, 0.22), (3, 0.15, 0.33), (5, 0.25, 0.55), (7, 0.35, 0.77)] {
        let beside = pods - 1;
        text += &format!("loop,mps,,{beside},{mps}\nloop,time-slicing,,{beside},{turns}\n");
    }
    let fit = fitted(&text);
    let [mps, slicing] = &fit.parts[0].shared[..] else { panic!("two modes: {fit:?}") };
    assert!((mps.classes[0].demand - 0.5).abs() < 1e-3 && !mps.shared_fitted, "{mps:?}");
    assert!((slicing.classes[0].demand - 1.0).abs() < 0.02, "{slicing:?}");
    assert!(slicing.shared_fitted && (slicing.shared - 0.10).abs() < 0.011, "{slicing:?}");
    let yaml = yaml(&fit, true);
    for part in ["host: 0", "fill: 0.5", "mode: mps", "beside: loop", "slowdown: 1.05"] {
        assert!(yaml.contains(part), "`{part}` in\n{yaml}");
    }
    assert_eq!(residuals_csv(&fit).lines().count(), 9);
    assert_eq!(
        pictures(&fit).iter().map(|p| p.0.as_str()).collect::<Vec<_>>(),
        ["fit-mps", "fit-time-slicing"]
    );
}

#[test]
fn what_cannot_be_fitted_is_no_panic() {
    for text in ["class,slice,time\na,7g,1\n", "class,mode,neighbours,time\na,mps,,1\nb,mps,1,2\n"] {
        let fit = fitted(text);
        assert!(super::text(&fit).contains("nothing could be fitted"));
        assert_eq!((csv(&fit).lines().count(), pictures(&fit).len()), (1, 0));
    }
}
