//! Fits of public measurements, against figures computed outside this program. Skips, and says so, where
//! the measurements are not at hand.
#![expect(clippy::print_stdout, reason = "what is skipped is said")]

use slicewise::fit::{Fit, Mig, Options, Rival, Shared, fit};
use slicewise::perf::fit::{Errors, Parameter};
use slicewise::trace::steps::{Columns, open_steps, read_steps};
use slicewise::validate::sharing::{Timed, csv};
use std::path::Path;

const OPTIONS: Options = Options {
    full: 7,
    needed: 3,
    kappa: Parameter::Given(1.10),
    alpha: Parameter::Given(0.10),
    epsilon: Parameter::Fitted,
};

/// A file beside the repository, fitted; `None` where it is not.
fn fitted(file: &str, columns: Columns, options: &Options) -> Option<Fit> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/traces").join(file);
    if !path.is_file() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    let steps = open_steps(&Columns { full: 7, ..columns }, file, &path).expect("a right file");
    Some(fit(&steps.rows, options))
}

const MISO: &str = "miso-mig-speed/miso_mig_step_time.csv";

fn mig(fit: &Fit) -> &Mig {
    fit.parts[0].mig.as_ref().expect("slices")
}

#[track_caller]
fn near(errors: Option<Errors>, expected: [f64; 3], within: [f64; 3]) {
    let errors = errors.expect("measurements");
    for ((got, expected), within) in
        [errors.rms, errors.median, errors.p95].into_iter().zip(expected).zip(within)
    {
        assert!((100.0 * got - expected).abs() <= within, "{errors:?}: {expected} ± {within} percent");
    }
}

fn rival(rivals: &[Rival], name: &str) -> Errors {
    rivals.iter().find(|rival| rival.name.contains(name)).expect("a rival of this name").errors
}

#[track_caller]
fn rms(errors: Errors, percent: f64, within: f64) {
    assert!((100.0 * errors.rms - percent).abs() <= within, "{errors:?}: {percent} ± {within} percent");
}

/// MISO's training speeds on A100 slices (SoCC'22) by mean step: 28 pairs of model and batch that have the
/// full instance and three smaller slices, 105 measurements.
#[test]
fn misos_slices_are_fitted_as_well_as_can_be() {
    let Some(fit) = fitted(MISO, Columns::default(), &OPTIONS) else { return };
    let mig = mig(&fit);
    assert_eq!((mig.classes.len(), mig.classes.iter().map(|c| c.points.len()).sum::<usize>()), (28, 105));
    // RMS, median, 95th percentile.
    near(mig.in_sample, [6.75, 2.7, 10.4], [0.1, 0.05, 0.1]);
    near(mig.left_out, [10.9, 6.0, 17.0], [0.4, 0.3, 1.9]);
    rms(rival(&mig.rivals, "host only"), 8.2, 0.05);
    rms(rival(&mig.rivals, "fill only"), 10.9, 0.05);
    rms(rival(&mig.rivals, "proportion"), 65.0, 0.5);
    // Four pairs lack slices.
    assert_eq!(fit.parts[0].passed_over.len(), 4);
    let bert = mig.classes.iter().find(|class| class.class == "bert-2").expect("in the file");
    assert!((bert.host - 0.309).abs() < 0.01 && (bert.fill - 0.980).abs() < 0.01, "{bert:?}");
}

/// Median steps of deepspeech2 jump: the same fit is twice as far off.
#[test]
fn medians_of_misos_steps_fit_worse() {
    let columns = Columns { time: Some("median_step_s".to_owned()), ..Columns::default() };
    let Some(fit) = fitted(MISO, columns, &OPTIONS) else { return };
    rms(mig(&fit).in_sample.expect("measurements"), 13.2, 0.1);
}

/// κ hardly matters from 1.00 to 1.12, so a fitted one is no better by much.
#[test]
fn kappa_may_be_fitted_to_misos_slices() {
    let options = Options { kappa: Parameter::Fitted, ..OPTIONS };
    let Some(fit) = fitted(MISO, Columns::default(), &options) else { return };
    let mig = mig(&fit);
    assert!((0.95..=1.15).contains(&mig.kappa), "{}", mig.kappa);
    let rms = mig.in_sample.expect("measurements").rms;
    assert!((0.060..0.0676).contains(&rms), "{rms}");
}

/// Gavel's pairs (OSDI'20) on three GPUs. Proportional sharing is no worse than max-min, by demands that
/// come from pairs of copies alone; pairs with a rate of 0 did not run.
#[test]
fn gavels_pairs_tell_the_rules_of_sharing_apart() {
    let Some(fit) = fitted("gavel-colocation/gavel_colocated_throughput.csv", Columns::default(), &OPTIONS)
    else {
        return;
    };
    let of = |gpu: &str| -> &Shared {
        let part = fit.parts.iter().find(|part| part.by == gpu).expect("the file has this GPU");
        &part.shared[0]
    };
    for (gpu, points, proportional, max_min) in
        [("k80", 502, 22.0, 21.0), ("p100", 552, 24.0, 25.0), ("v100", 552, 42.0, 45.0)]
    {
        let shared = of(gpu);
        let errors = rival(&shared.rivals, "in proportion");
        assert_eq!(errors.points, points, "{gpu}");
        rms(errors, proportional, 0.5);
        rms(rival(&shared.rivals, "max-min"), max_min, 0.5);
        // Demands fitted to all pairs are nearer than those of copies alone.
        assert!(shared.in_sample.expect("pairs").rms < errors.rms, "{gpu}");
    }
}

/// What `slicewise validate --measure` writes is read as it is: probes of one client and more.
#[test]
fn steps_of_validate_are_fitted() {
    let timed = |sharing, slice: &str, neighbours, step_us| Timed {
        class: "gemm",
        sharing,
        slice: slice.to_owned(),
        neighbours,
        client: neighbours,
        step_us,
    };
    // Demand .5: two fit beside each other but for α, four take turns of half a GPU.
    let csv = csv(&[
        timed("mps", "", 0, 1_000),
        timed("mps", "", 1, 1_050),
        timed("mps", "", 3, 2_000),
        timed("mig", "7g.40gb", 0, 1_000),
        timed("mig", "1g.5gb", 0, 3_182),
        timed("mig", "2g.10gb", 0, 1_591),
        timed("mig", "3g.20gb", 0, 1_061),
    ]);
    let columns = Columns { full: 7, ..Columns::default() };
    let steps = read_steps(&columns, "measured.csv", csv.as_bytes()).expect("its own file");
    let fit = fit(&steps.rows, &OPTIONS);
    let demand = fit.parts[0].shared[0].classes[0].demand;
    assert!((demand - 0.5).abs() < 1e-3, "{demand}");
    let gemm = &mig(&fit).classes[0];
    assert!(gemm.host < 1e-3 && (gemm.fill - 0.5).abs() < 1e-3, "{gemm:?}");
}
