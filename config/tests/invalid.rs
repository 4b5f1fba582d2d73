//! Files that must be refused, and the exact words.

use std::fs;
use std::path::{Path, PathBuf};

use floodgate_config::{LoadError, check, load, parse};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid")
}

/// Every `invalid/*.toml` with the text beside it. `UPDATE_EXPECTED=1` writes the texts; read the difference then.
#[test]
fn every_bad_file_yields_the_text_beside_it() {
    let mut names: Vec<_> = fs::read_dir(folder()).unwrap().map(|it| it.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|it| it == "toml"));
    names.sort();
    assert!(names.len() > 20, "only {} files", names.len());
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let rendered = match check(name, &text) {
            Ok(loaded) if name.starts_with("warning-") => loaded.warnings.to_string(),
            Ok(_) => panic!("{name} was accepted"),
            Err(problems) => problems.to_string(),
        };
        let beside = path.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&beside, &rendered).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(rendered, expected, "{name} renders as\n{rendered}");
    }
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = fs::read_to_string(folder().join("all-at-once.toml")).unwrap();
    let problems = parse("all-at-once.toml", &text).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.place.line).collect();
    assert_eq!(lines, [2, 3, 4, 7, 8, 9, 13, 14, 18, 19, 20, 21, 22]);
}

#[test]
fn problems_come_as_json_too() {
    let text = "[upstreams.checkout]\nservers = [\"127.0.0.1:9000\"]\n  max_inflight = 64\n";
    let problems = parse("checkout.toml", text).unwrap_err();
    assert_eq!(
        problems.to_json(),
        serde_json::json!([{
            "severity": "error",
            "file": "checkout.toml",
            "line": 3,
            "column": 3,
            "key": "upstreams.checkout.max_inflight",
            "message": "unknown key `max_inflight` in [upstreams.checkout]",
            "suggestion": "did you mean `max_in_flight`?",
            "line_text": "  max_inflight = 64",
        }])
    );
}

#[test]
fn numbers_of_tables_are_bounded() {
    let refused = |text: &str, key: &str| {
        let problems = parse("many", text).unwrap_err();
        let found = problems.iter().any(|it| it.key == key && it.message.contains("too many"));
        assert!(found, "{problems}");
    };
    let upstream = "[upstreams.checkout]\nservers = [\"127.0.0.1:9000\"]\n";
    refused(&(upstream.to_owned() + &"[[routes]]\n".repeat(10_001)), "routes");
    let servers: Vec<_> = (0..1_001).map(|i| format!("\"h{i}:80\"")).collect();
    let servers = format!("[upstreams.checkout]\nservers = [{}]\n", servers.join(","));
    refused(&servers, "upstreams.checkout.servers");
    let upstreams: String =
        (0..1_001).map(|i| format!("[upstreams.u{i}]\nservers = [\"h:80\"]\n")).collect();
    refused(&(upstreams + "[[routes]]\nupstream = \"u1\"\n"), "upstreams");
    assert!(parse("most", &(upstream.to_owned() + &"[[routes]]\n".repeat(10_000))).is_ok());
}

#[test]
fn problems_are_bounded_and_counted() {
    let text: String = (0..5_000).map(|i| format!("key{i} = 1\n")).collect();
    let problems = parse("many", &text).unwrap_err();
    assert_eq!(problems.len(), 5_001);
    assert_eq!(problems.iter().count(), 200);
    assert!(problems.to_string().ends_with("… and 4801 more\n"));
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("server = {}1{}\n", open.repeat(100_000), close.repeat(100_000));
        assert!(parse("deep", &text).is_err());
    }
    assert!(parse("deep", &format!("{} = 1", vec!["a"; 100_000].join("."))).is_err());
}

#[test]
fn what_cannot_be_read_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let told = |path: &Path, words: &[&str]| match load(path) {
        Err(error @ LoadError::Read { .. }) => {
            let text = error.to_string();
            assert!(text.starts_with(&format!("cannot read {}: ", path.display())), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
            for word in words {
                assert!(text.contains(word), "{text} lacks {word}");
            }
        }
        other => panic!("{other:?}"),
    };
    told(&folder.path().join("missing.toml"), &["No such file", "check the path"]);
    told(folder.path(), &["directory", "name a file inside it"]);
    let file = folder.path().join("bad.toml");
    fs::write(&file, b"# ok\n# \xff\n").unwrap();
    told(&file, &["line 2 is not UTF-8", "save the file as UTF-8"]);
    fs::write(&file, vec![b'#'; 4 << 20 | 1]).unwrap();
    told(&file, &["4 MiB"]);
}

#[test]
fn a_bad_file_is_named_as_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sale.toml");
    fs::write(&file, "[server]\nport = 1\n").unwrap();
    match load(&file) {
        Err(LoadError::Problems(problems)) => {
            let place = format!("--> {}:2:1", file.display());
            assert!(problems.to_string().contains(&place), "{problems}");
        }
        other => panic!("{other:?}"),
    }
}
