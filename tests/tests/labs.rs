//! Command-line tier: every lab judges rightly. The start scores what it says, each solution 100, each mistake fails where it says, each
//! mutant loses points.

use std::process::Command;
use tests::sandbox::cordon;

#[test]
fn every_lab_satisfies_the_lints() {
    let output = Command::new(cordon()).args(["labs", "lint"]).output().expect("cordon runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn every_lab_judges_rightly() {
    let output = Command::new(cordon()).args(["labs", "test"]).output().expect("cordon runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(text.contains("0 false accepts, 0 false rejects"), "{text}");
}
