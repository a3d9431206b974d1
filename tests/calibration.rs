//! The shipped calibration: what the sharing models make of a loop that was measured in three modes.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Mode, then for 1, 3, 5 and 7 pods: slowdown and seconds of a step by the formulas, worked out by hand, and
/// how far the model may be from the measured step.
const ROWS: [(&str, [(&str, &str); 4], f64); 3] = [
    ("time-slicing", [("1", ".08815"), ("3.33", ".29354"), ("5.55", ".48923"), ("7.77", ".68493")], 0.01),
    ("MPS", [("1", ".08815"), ("1.68", ".14809"), ("2.80", ".24682"), ("3.92", ".34555")], 0.12),
    ("MIG 1g", [("3.564", ".31414"); 4], 0.12),
];

/// A value to as many digits after the point as `printed` has.
fn to_digits(value: f64, printed: &str) -> String {
    let places = printed.split_once('.').map_or(0, |(_, digits)| digits.len());
    let text = format!("{value:.places$}");
    match printed.starts_with('.') {
        true => text.trim_start_matches('0').to_owned(),
        false => text,
    }
}

#[test]
fn yolos_comes_out_as_the_formulas_say_and_near_what_was_measured() {
    let output = Command::new(env!("CARGO_BIN_EXE_slicewise"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .args(["run", "scenarios/yolos.yaml", "--no-report", "-q", "-o", "json"])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut variants = json["variants"].as_array().expect("a list").iter();
    for (mode, cells, within) in ROWS {
        for ((slowdown, step), pods) in cells.into_iter().zip([1, 3, 5, 7]) {
            let variant = variants.next().expect("a variant for each cell");
            let s = if pods == 1 { "" } else { "s" };
            let name = format!("{mode} · {pods} pod{s}");
            assert_eq!(variant["name"], name);
            let measured = &variant["measured"][0];
            let number = |key: &str| measured[key].as_f64().unwrap_or_else(|| panic!("{name}: {key}"));
            assert_eq!(measured["pods"], pods, "{name}");
            assert_eq!(to_digits(number("slowdown"), slowdown), slowdown, "{name}");
            let (modelled, step) = (number("modelled_s"), step.parse::<f64>().expect("a number"));
            // A unit of the last digit: the step alone has no more digits than the table.
            assert!((modelled - step).abs() < 1e-5, "{name}: {modelled} for {step}");
            assert!(number("error").abs() <= within, "{name}: {measured}");
        }
    }
    assert!(variants.next().is_none());
}
