//! The demonstration finds what it promises, in every build.

use std::process::Command;

#[test]
fn everything_holds_in_the_short_demonstration() {
    let floodgate = env!("CARGO_BIN_EXE_floodgate");
    let output = Command::new(floodgate).args(["demo", "--short"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    for promise in [
        "holds  the ledger closes",
        "holds  the customers counted the same",
        "holds  the origin saw at most 64 of 64 requests at once",
        "holds  no tier was refused for capacity while a lower one was let in",
    ] {
        assert!(shown.contains(promise), "{promise:?} is not in\n{shown}");
    }
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.ends_with("\nPASS\n"), "{shown}");
    assert!(shown.contains("+ rejected"), "no storm:\n{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "too wide:\n{shown}");
}
