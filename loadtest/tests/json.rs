//! `load --json`, as scripts read it, against the floor.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use floodgate_loadtest::floor;
use serde_json::Value;

/// Stops the floor, also when a check has failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn json_covers_the_seconds_after_the_warm_up_in_the_given_shares() {
    let listener = floor::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let (addr, stop) = (listener.local_addr().unwrap(), AtomicBool::new(false));
    let output = thread::scope(|scope| {
        scope.spawn(|| floor::serve(listener, &stop));
        let _stopping = Stop(&stop);
        Command::new(env!("CARGO_BIN_EXE_floodgate-loadtest"))
            .args(["load", "--target", &addr.to_string(), "--json", "--rate", "2000"])
            .args(["--seconds", "1", "--warm-up", "1"])
            .args(["--path", "GET /a", "--weight", "3", "--path", "/b", "--weight", "1"])
            .output()
            .unwrap()
    });
    // The exit code judges the generator, which may be late on a busy machine.
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let refused = |class: &str| json["classes"][class]["counts"]["refused"].as_u64().unwrap();
    assert_eq!(refused("GET /a") + refused("/b"), 2000, "{json}");
    assert!((1400..1600).contains(&refused("GET /a")), "{json}");
    assert_eq!(json["seconds"], 1.0);
    // The second before it is warm-up, and the last answers may come after it.
    assert_eq!(json["per_second"].as_array().unwrap().len(), 1, "{json}");
    let answered = json["per_second"][0]["answered"].as_u64().unwrap();
    assert!((1500..=2500).contains(&answered), "{json}");
    assert!(json["classes"]["/b"]["refusal_us"]["p50"].as_u64().unwrap() > 0, "{json}");
    assert!(json["classes"]["/b"]["success_us"].is_null(), "{json}");
}
