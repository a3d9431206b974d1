//! The examples run and say what they are there to show.
//!
//! They are compiled into this test, so that no run of cargo within cargo is needed.

#[expect(dead_code, reason = "its `main` is called where it is an example")]
#[path = "../examples/own_score.rs"]
mod own_score;
#[expect(dead_code, reason = "its `main` is called where it is an example")]
#[path = "../examples/own_speed.rs"]
mod own_speed;
#[expect(dead_code, reason = "its `main` is called where it is an example")]
#[path = "../examples/run_scenario.rs"]
mod run_scenario;

#[test]
fn run_scenario_compares_three_ways_of_sharing() {
    let text = run_scenario::text();
    for variant in ["whole", "mig", "mps"] {
        // A line of figures of its own, and a row of the table.
        let lines = text.lines().filter(|line| line.split_whitespace().next() == Some(variant));
        assert!(2 <= lines.count(), "{variant} in\n{text}");
    }
}

#[test]
fn own_score_waits_less_than_the_built_in() {
    let text = own_score::text();
    let waits = |name: &str| -> Vec<u32> {
        let line = text.lines().find(|line| line.starts_with(name)).expect("a line of the table");
        line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let (spread, pack) = (waits("spread"), waits("pack"));
    assert!(pack[0] < spread[0] && pack[1] < spread[1], "{text}");
}

#[test]
fn own_speed_is_asked_in_place_of_the_built_in() {
    let text = own_speed::text();
    let slowdown = |line: usize| -> f64 {
        let line = text.lines().nth(line).expect("two lines");
        let figure = line.split("slowdown ").nth(1).and_then(|rest| rest.split(',').next());
        figure.and_then(|figure| figure.parse().ok()).expect("a figure")
    };
    // Pods that hardly use the GPU hardly slow each other; whoever takes turns is slowed by all.
    assert!(slowdown(0) < 1.2 && 1.5 < slowdown(1), "{text}");
}
