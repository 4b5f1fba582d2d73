use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

/// The claim `sub` of a payload.
fn sub(payload: &str) -> Option<String> {
    Some(String::from_utf8(Object::read(payload.as_bytes())?.text("sub")?).unwrap())
}

#[test]
fn strings_and_numbers_are_read() {
    for (payload, expected) in [
        (r#"{"sub":"alice"}"#, "alice"),
        ("\r\n{ \"a\" : [ ] ,\t\"sub\" : \"alice\" , \"b\" : { } } ", "alice"),
        (r#"{"sub":1234567890}"#, "1234567890"),
        (r#"{"sub":-0.5e+10}"#, "-0.5e+10"),
        (r#"{"sub":""}"#, ""),
        (r#"{"sub":"a\"b\\c\/d\b\f\n\r\t"}"#, "a\"b\\c/d\u{8}\u{c}\n\r\t"),
        (r#"{"sub":"\u00e9\ud83d\ude00é"}"#, "é😀é"),
        (r#"{"s\u0075b":"alice"}"#, "alice"),
    ] {
        assert_eq!(sub(payload).as_deref(), Some(expected), "{payload}");
    }
}

#[test]
fn only_the_objects_own_members_count() {
    for payload in [
        "{}",
        r#"{"a":{"sub":"mallory"}}"#,
        r#"{"a":[{"sub":"mallory"}]}"#,
        r#"[{"sub":"mallory"}]"#,
        r#"{"a":"\",\"sub\":\"mallory"}"#,
        r#"{"a":"x\\\"","b":"\"sub\":\"mallory\""}"#,
        r#"{"Sub":"mallory","sub ":"mallory","su":"mallory","subb":"mallory"}"#,
        r#""sub""#,
    ] {
        assert_eq!(sub(payload), None, "{payload}");
    }
    let payload = r#"{"a":{"sub":"mallory","b":[{"sub":1}]},"sub":"alice","c":{"sub":2}}"#;
    assert_eq!(sub(payload).as_deref(), Some("alice"));
}

#[test]
fn a_claim_that_is_said_twice_is_not_said() {
    for payload in [
        r#"{"sub":"alice","sub":"mallory"}"#,
        r#"{"sub":"alice","sub":"alice"}"#,
        r#"{"sub":"alice","\u0073ub":"mallory"}"#,
        r#"{"sub":"alice","sub":null}"#,
        r#"{"sub":null,"sub":"alice"}"#,
    ] {
        assert_eq!(sub(payload), None, "{payload}");
    }
}

#[test]
fn what_is_neither_string_nor_number_is_no_identity() {
    for value in ["null", "true", "false", "[]", "{}", r#"["alice"]"#, r#"{"sub":"alice"}"#] {
        assert_eq!(sub(&format!(r#"{{"sub":{value}}}"#)), None, "{value}");
    }
}

#[test]
fn what_is_not_json_says_nothing() {
    let deep = format!(r#"{{"sub":"alice","a":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    for payload in [
        "",
        "{",
        r#"{"sub":"alice""#,
        r#"{"sub":"alice"}x"#,
        r#"{"sub":"alice"}{}"#,
        r#"{"sub":"alice",}"#,
        r#"{,"sub":"alice"}"#,
        r#"{"a":tru,"sub":"alice"}"#,
        r#"{"a":01,"sub":"alice"}"#,
        r#"{"a":1.,"sub":"alice"}"#,
        r#"{"a":[1 2],"sub":"alice"}"#,
        r#"{"a":[1,],"sub":"alice"}"#,
        r#"{"a":{"b"},"sub":"alice"}"#,
        r#"{"a":[}],"sub":"alice"}"#,
        r#"{"a" "sub":"alice"}"#,
        r#"{sub:"alice"}"#,
        r#"{'sub':'alice'}"#,
        r#"{"sub":01}"#,
        r#"{"sub":+1}"#,
        r#"{"sub":1e}"#,
        r#"{"sub":"\x"}"#,
        r#"{"sub":"\ud83d"}"#,
        r#"{"sub":"\ud83d\u0041"}"#,
        r#"{"sub":"\ud83d\ue000"}"#,
        r#"{"sub":"\ude00"}"#,
        r#"{"sub":"\u00g0"}"#,
        "{\"sub\":\"a\nb\"}",
        "{\"sub\":\"a\u{0}b\"}",
        &deep,
    ] {
        assert_eq!(sub(payload), None, "{payload}");
    }
}

#[test]
fn numbers_are_read_as_such_and_lists_as_any_of_theirs() {
    let object = br#"{"a":1.5e3,"b":"7","c":["x",1,["y"],"\u007a"],"d":1e999,"e":[],"f":"x"}"#;
    let object = Object::read(object).unwrap();
    assert_eq!(
        ["a", "b", "c", "d", "g"].map(|name| object.number(name)),
        [Some(1500.0), None, None, None, None]
    );
    let has = |name: &str, wanted: &str| object.has_string(name, |one| one == wanted.as_bytes());
    assert!(has("c", "x") && has("c", "z") && has("f", "x") && has("b", "7"));
    assert!(!has("c", "1") && !has("c", "y") && !has("e", "") && !has("a", "1.5e3"));
    assert!(object.has("e") && !object.has("g"));
}

#[test]
fn an_object_has_at_most_64_members() {
    let of = |count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":0")).collect();
        Object::read(format!("{{{}}}", members.join(",")).as_bytes()).is_some()
    };
    assert!(of(64) && !of(65));
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::hash_map("sub|.{0,3}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect::<Json>()),
        ]
    })
}

proptest! {
    #[test]
    fn what_another_reader_reads_is_read(payload in json()) {
        let expected = match payload.get("sub") {
            Some(Json::String(sub)) => Some(sub.clone()),
            Some(Json::Number(sub)) => Some(sub.to_string()),
            _ => None,
        };
        prop_assert_eq!(&sub(&payload.to_string()), &expected);
        prop_assert_eq!(sub(&serde_json::to_string_pretty(&payload).unwrap()), expected);
    }

    #[test]
    fn what_another_reader_refuses_is_not_read(
        payload in json(),
        at: prop::sample::Index,
        by in r#"[\[\]{}",:\\0-9a-u -]{0,2}"#,
    ) {
        let mut payload: Vec<char> = format!(r#"{{"a":{payload},"sub":"alice"}}"#).chars().collect();
        let at = at.index(payload.len());
        payload.splice(at..=at, by.chars());
        let payload: String = payload.into_iter().collect();
        // The reverse does not hold: names that come twice, and numbers beyond all measure.
        if serde_json::from_str::<Json>(&payload).is_err_and(|e| !e.to_string().contains("out of range")) {
            prop_assert_eq!(sub(&payload), None, "{}", payload);
        }
    }

    #[test]
    fn nothing_at_all_makes_it_stumble(payload in r#"[\[\]{}",:\\u0-9a-f sub-]{0,40}"#, any: String) {
        let _either = (sub(&payload), sub(&any));
    }
}
