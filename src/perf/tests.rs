//! Values of the sharing models, from the tables that they were fitted to and from theory.

use super::*;

const SLICING: Share = Share::Replicas { replicas: 8, mps: false };
const MPS: Share = Share::Memory { gb: 80, clients: 48 };

fn close(got: &[f64], expected: &[f64]) {
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() < 6e-5 * e, "{got:?} against {expected:?}");
    }
    assert_eq!(got.len(), expected.len());
}

fn beside(share: &Share, behaviors: Vec<Behavior>, change: impl Fn(&mut Model)) -> Vec<f64> {
    let mut model = Model::new(behaviors);
    change(&mut model);
    let resident = |id| Resident { behavior: BehaviorId::of(id), slices: 0, threads: 100 };
    let residents: Vec<Resident> = (0..model.behaviors.len()).map(resident).collect();
    let mut out = Vec::new();
    model.slowdowns(share, &residents, &mut out);
    out
}

fn wanting(times: &[f64]) -> Vec<Behavior> {
    times.iter().map(|t| Behavior::new(1.0 - t, 1.0)).collect()
}

#[test]
fn time_slicing_matches_the_check_values() {
    for (times, expected) in [
        (vec![1.0; 3], vec![3.33; 3]),
        (vec![0.5; 2], vec![1.305; 2]),
        (vec![1.0, 0.1], vec![1.122; 2]),
        (vec![0.85, 0.5, 0.3, 0.1], vec![2.2414, 1.9474, 1.6463, 1.2546]),
        (
            vec![0.1, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95],
            vec![1.6717, 6.7770, 6.7770, 6.7770, 6.7770, 6.7770, 6.7770],
        ),
        (vec![0.3], vec![1.0]),
    ] {
        close(&beside(&SLICING, wanting(&times), |_| {}), &expected);
    }
}

/// What is won in host time is no more than the GPU has: Σ t ÷ S ≤ 1, and 1 ÷ (1+ε) with two or more
/// that want it all the time; also where a product of 48 factors would cancel if it were divided out.
#[test]
fn time_slicing_never_hands_out_more_than_the_gpu() {
    for n in [2, 7, 48] {
        let times: Vec<f64> = (0..n).map(|i| f64::from(i + 1) / f64::from(n)).collect();
        let slowdowns = beside(&SLICING, wanting(&times), |_| {});
        let used: f64 = times.iter().zip(&slowdowns).map(|(t, s)| t / s).sum();
        assert!(used <= 1.0 + 1e-9, "{n}: {used}");
        let all = beside(&SLICING, wanting(&vec![1.0; n as usize]), |_| {});
        close(&all, &vec![1.11 * f64::from(n); n as usize]);
    }
}

#[test]
fn measured_yolos_is_met() {
    // Pods, seconds under time-slicing and MPS, measured (nos' demo on A100-80GB); one pod alone takes
    // .08815 s, and on a 1g slice .34237 s.
    let loops = Behavior::new(0.0, 0.56);
    for (pods, slicing, mps) in [(3, 0.29314, 0.16400), (5, 0.48895, 0.24086), (7, 0.68488, 0.31982)] {
        let residents = vec![loops.clone(); pods];
        let got = beside(&SLICING, residents.clone(), |_| {})[0];
        assert!((got * 0.08815 / slicing - 1.0).abs() < 0.01);
        assert!((beside(&MPS, residents, |_| {})[0] * 0.08815 / mps - 1.0).abs() < 0.12);
    }
    let slice = loops.slowdown(Model::default().slice_share(1, 7)) * 0.08815;
    assert!((slice / 0.34237 - 1.0).abs() < 0.12);
}

#[test]
fn slices_match_the_class_table() {
    for ((name, behavior), expected) in Behavior::NAMED.iter().zip([
        [0.164, 0.325, 0.484, 0.640],
        [0.278, 0.494, 0.667, 0.808],
        [0.444, 0.727, 0.923, 1.0],
        [0.489, 0.912, 1.0, 1.0],
        [1.0, 1.0, 1.0, 1.0],
        [0.710, 0.866, 0.935, 0.973],
    ]) {
        for (slices, speed) in (1..=4).zip(expected) {
            let got = 1.0 / behavior.slowdown(Model::default().slice_share(slices, 7));
            assert!((got - speed).abs() < 0.0006, "{name} {slices}g: {got}");
        }
    }
}

fn on_slices(model: &Model, slices: &[u8]) -> Vec<f64> {
    let share = Share::Slices { slices: Vec::new(), standing: 0, compute: 7 };
    let resident = |k: &u8| Resident { behavior: BehaviorId(0), slices: *k, threads: 100 };
    let residents: Vec<Resident> = slices.iter().map(resident).collect();
    let mut out = Vec::new();
    model.slowdowns(&share, &residents, &mut out);
    out
}

#[test]
fn mig_base_residual_and_tables() {
    let mut model = Model::new(vec![Behavior::new(0.0, 0.56)]);
    // The table of the calibration: 3.564 on 1g, and 3.93 where the base is the GPU with MIG off.
    close(&on_slices(&model, &[1]), &[3.5636]);
    model.mig.full = 98.0 / 108.0;
    close(&on_slices(&model, &[1]), &[3.9273]);
    model.mig = Mig { residual: 0.01, ..Mig::default() };
    assert!(model.minds_neighbours(&Share::Slices { slices: Vec::new(), standing: 0, compute: 7 }));
    // Four busy slices of others beside 3g, three beside 4g.
    let (three, four) = (0.56 / (1.1 * 3.0 / 7.0), 1.0);
    close(&on_slices(&model, &[3, 4]), &[three * 1.04, four * 1.03]);
    model.behaviors[0].speeds.insert(1, 0.25);
    model.mig.residual = 0.0;
    close(&on_slices(&model, &[1, 2]), &[4.0, 0.56 / (2.2 / 7.0)]);
}

#[test]
fn mps_limits_threads_and_takes_fitted_demands() {
    let busy = || Behavior::new(0.1, 0.6);
    // Two of them: u = .54, so S = max(1 + .1 × .54, 1.08).
    close(&beside(&MPS, vec![busy(), busy()], |_| {}), &[1.08, 1.08]);
    let fitted = Behavior { demand: Some(0.3), ..busy() };
    close(&beside(&MPS, vec![fitted.clone(), fitted], |_| {}), &[1.03, 1.03]);
    let model = Model::new(vec![busy()]);
    let replicas = Share::Replicas { replicas: 3, mps: true };
    // The plugin divides in integers.
    assert_eq!(model.threads(&replicas, 0), 33);
    assert_eq!(model.threads(&MPS, 20), 100);
    let held = Model { mps: Mps { threads: Threads::Proportional, ..Mps::default() }, ..model.clone() };
    assert_eq!(held.threads(&MPS, 20), 25);
    let limited = Resident { behavior: BehaviorId(0), slices: 0, threads: 33 };
    let mut out = Vec::new();
    model.slowdowns(&replicas, &[limited; 3], &mut out);
    let (u, own) = (0.9 * 0.33, 0.1 + 0.9 * 0.6 / 0.33);
    close(&out, &[(1.0 + 0.1 * 2.0 * u) * own; 3]);
}

#[test]
fn measured_pairs_win_over_the_formula() {
    let change = |model: &mut Model| {
        model.pairs.insert((PairMode::Mps, BehaviorId(0), BehaviorId(1)), 1.5);
    };
    let two = vec![Behavior::new(0.0, 0.4), Behavior::new(0.0, 0.4)];
    close(&beside(&MPS, two.clone(), change), &[1.5, 1.04]);
    // Of three, one pair is known: its excess counts by half.
    let three = vec![Behavior::new(0.0, 0.4); 3];
    let got = beside(&MPS, three, change);
    close(&got, &[1.2 * libm::sqrt(1.5 / 1.04), 1.2, 1.2]);
    close(&beside(&SLICING, two, change), &[2.22, 2.22]);
}

#[test]
fn residuals_are_of_a_pair_and_never_speed_up_beyond_alone() {
    let model = Model { mps: Mps { residual: 0.13, ..Mps::default() }, ..Model::new(Vec::new()) };
    let residuals = Residuals::of(&model, 7).expect("it has some");
    assert_eq!(residuals.sigma(&MPS), 0.13);
    assert_eq!(residuals.sigma(&SLICING), 0.0);
    assert!(Residuals::of(&Model::default(), 7).is_none());
    let (a, b) = (PodId(3), PodId(9));
    assert_eq!(residuals.draw(a, b), residuals.draw(a, b));
    assert!(residuals.draw(a, b) != residuals.draw(b, a));
    let draws: Vec<f64> = (0..4_000).map(|i| residuals.draw(PodId(i), PodId(i + 1))).collect();
    let mean = draws.iter().sum::<f64>() / 4e3;
    let variance = draws.iter().map(|z| z * z).sum::<f64>() / 4e3;
    assert!(mean.abs() < 0.06 && (variance - 1.0).abs() < 0.1, "{mean} {variance}");
    close(&[Residuals::apply(0.13, 2.0, 3.0, 4)], &[2.0 * libm::exp(0.13 * 1.5)]);
    assert_eq!(Residuals::apply(0.13, 1.0, -3.0, 1), 1.0);
}
