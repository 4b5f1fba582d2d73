//! How many permits: a number, or how it is found.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::time::Duration;

use floodgate_config::{Given, changes, check, check_with, explain, parse};
use floodgate_limiter::{AdaptiveSettings, Algorithm};

fn text(in_flight: &str) -> String {
    format!("[upstreams.x]\nservers = [\"127.0.0.1:9000\"]\nmax_in_flight = {in_flight}\n")
}

fn settings(in_flight: &str) -> (AdaptiveSettings, u32) {
    let upstream = parse("x.toml", &text(in_flight)).unwrap().upstreams.remove(0);
    (upstream.in_flight, upstream.limits.max_in_flight())
}

#[track_caller]
fn refused(in_flight: &str, words: &[&str]) {
    let told = parse("x.toml", &text(in_flight)).unwrap_err().to_string();
    for word in words {
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn a_number_is_a_number() {
    assert_eq!(settings("7"), (AdaptiveSettings::fixed(7), 7));
    assert_eq!(settings("0"), (AdaptiveSettings::fixed(0), 0));
}

#[test]
fn in_the_shadow_the_start_rules_and_live_there_may_be_as_many_as_the_most() {
    let (shadow, permits) = settings("{ max = 400, start = 200 }");
    assert_eq!((shadow.min(), shadow.start(), permits), (8, 200, 200));
    assert!(shadow.is_shadow() && shadow.algorithm() == Algorithm::Gradient2);
    let (live, permits) = settings("{ min = 3, max = 400, algorithm = \"vegas\", shadow = false }");
    assert_eq!((live.min(), live.start(), permits), (3, 400, 400));
    assert!(live.moves() && live.algorithm() == Algorithm::Vegas);
    let (fixed, permits) = settings("{ max = 4, algorithm = \"fixed\", shadow = false }");
    assert!(!fixed.moves());
    assert_eq!((fixed.min(), permits), (4, 4));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    refused("{ min = 8 }", &["missing key `max`"]);
    refused("{ min = 0, max = 5 }", &["`0` is out of range for `upstreams.x.max_in_flight.min`"]);
    refused("{ min = 9, max = 5 }", &["`min` 9 is above `max` 5", ":3:"]);
    refused("{ max = 50, start = 51 }", &["`start` 51 is not from `min` 8 to `max` 50"]);
    refused("{ max = 50, start = 2 }", &["`start` 2 is not from `min` 8 to `max` 50"]);
    refused("{ max = 50, algorithm = \"vega\" }", &["did you mean \"vegas\"?"]);
    refused("{ max = 50, maximum = 3 }", &["unknown key `maximum`"]);
    refused("\"64\"", &["a whole number from 0 to 1000000, or a table such as"]);
    refused("{ max = 50, max_latency = \"0s\" }", &["at least \"1ms\""]);
}

#[test]
fn it_is_explained_with_where_it_comes_from_and_overridden_from_the_environment() {
    let variable = "FLOODGATE__UPSTREAMS__X__MAX_IN_FLIGHT__MAX";
    let environment = [(variable.to_owned(), "300".to_owned())];
    for typed in ["64", "{ max = 400, start = 200 }"] {
        let loaded = check_with("x.toml", &text(typed), &environment).unwrap();
        let explained = explain(&loaded, None);
        let value = |key: &str| {
            let key = format!("upstreams.x.max_in_flight.{key}");
            explained.values.iter().find(|it| it.key == key).unwrap()
        };
        assert_eq!(value("max").value, "300");
        assert_eq!(value("max").given, Given::Environment(variable.to_owned()));
        assert_eq!(value("shadow").given, Given::Default);
        let line = |line| Given::File { name: "x.toml".to_owned(), line };
        let start = if typed == "64" { Given::Default } else { line(3) };
        assert_eq!(value("start").given, start);
    }
    let live = check("x.toml", &text("{ max = 400, start = 9, shadow = false }")).unwrap();
    let words = "upstream x: 8 to 400 permits, found by gradient2 from 9 on";
    assert!(explain(&live, None).to_string().contains(words));
}

#[test]
fn figures_go_by_the_permits_there_are_at_first() {
    let more = "[[tiers]]\nname = \"l1\"\nguaranteed = 0.25\n[[routes]]\nname = \"pay\"\n\
                [[journeys]]\nname = \"sale\"\nsteps = [\"pay\"]\nreserve = 0.5\nkeys = \"env:K\"\n";
    let figures = |in_flight: &str| {
        let loaded = check("x.toml", &(text(in_flight) + more)).unwrap();
        let upstream = explain(&loaded, Some(Duration::from_millis(10))).upstreams.remove(0);
        let tier = &upstream.tiers[0];
        let kept = (upstream.permits, upstream.reserved, tier.guaranteed);
        (kept, upstream.per_second.unwrap(), tier.served_in_time.unwrap())
    };
    let wanted = ((40, 20, 10), 4_000.0, 2_000.0);
    assert_eq!(figures("40"), wanted);
    assert_eq!(figures("{ max = 400, start = 40 }"), wanted);
    assert_eq!(figures("{ max = 400, start = 40, shadow = false }"), wanted);
}

#[test]
fn changes_are_told_key_by_key() {
    let parsed = |in_flight: &str| parse("x.toml", &text(in_flight)).unwrap();
    let told = |old: &str, new: &str| -> Vec<String> {
        changes(&parsed(old), &parsed(new)).iter().map(ToString::to_string).collect()
    };
    let (shadow, live) = ("{ max = 40, start = 9 }", "{ max = 40, start = 9, shadow = false }");
    assert_eq!(told(shadow, live), ["upstreams.x.max_in_flight.shadow: true -> false"]);
    let from_a_number = told("64", shadow);
    assert!(
        from_a_number.contains(&"- upstreams.x.max_in_flight: 64".to_owned()),
        "{from_a_number:?}"
    );
    assert!(from_a_number.contains(&"+ upstreams.x.max_in_flight.max: 40".to_owned()));
}

#[test]
fn what_is_odd_is_told() {
    let warned = |in_flight: &str| check("x.toml", &text(in_flight)).unwrap().warnings.to_string();
    let odd = warned("{ min = 5, max = 5, max_latency = \"1h\", shadow = false }");
    for words in
        ["`start` is left out", "there is nothing to find", "longer than any tier's deadline"]
    {
        assert!(odd.contains(words), "{odd}");
    }
    assert!(!warned("{ max = 400, start = 200, shadow = false }").contains("max_in_flight"));
}
