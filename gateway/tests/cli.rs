//! The command line: what it prints, where, and the exit code.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use floodgate_loadtest::origin::Origin;
use support::{Binary, Settings, ask, floodgate};
use tempfile::TempDir;

/// Three mistakes of different kinds.
const BAD: &str = r#"
[server]
listn = "127.0.0.1:0"

[upstreams.checkout]
servers = ["127.0.0.1:9000"]
max_in_flight = "many"

[[routes]]
path = "/{*rest}"
tier = "l9"
"#;
/// A word of each of them.
const MISTAKES: [&str; 3] = ["listn", "max_in_flight", "l9"];

fn file(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("floodgate.toml");
    std::fs::write(&file, text).unwrap();
    (directory, file)
}

fn with_file(command: &[&str], text: &str) -> (Output, TempDir) {
    let (directory, file) = file(text);
    (floodgate(&[command, &[file.to_str().unwrap()]].concat()), directory)
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Exit code 2, nothing on standard output, and one sentence on standard error that has these words.
fn one_sentence(output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(out(output), "");
    let error = err(output);
    let sentences: Vec<&str> = error.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(sentences.len(), 1, "{error}");
    assert!(sentences[0].starts_with("floodgate: "), "{error}");
    for word in words {
        assert!(sentences[0].contains(word), "{word} is not in: {error}");
    }
}

// --- check ---

#[test]
fn a_good_file_passes_the_check() {
    let (output, _directory) =
        with_file(&["check"], &Settings::upstream("").text(&["127.0.0.1:9000".parse().unwrap()]));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        out(&output).contains("good (1 upstreams, 3 tiers, 3 routes, 0 journeys)"),
        "{output:?}"
    );
    assert_eq!(err(&output), "");
}

#[test]
fn the_bundled_examples_pass_the_check() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        let output = floodgate(&["check", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}: {output:?}", path.display());
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn a_bad_file_fails_the_check_with_every_problem_on_standard_output() {
    let (output, _directory) = with_file(&["check"], BAD);
    assert_eq!(output.status.code(), Some(1));
    for mistake in MISTAKES {
        assert!(out(&output).contains(mistake), "{mistake}: {}", out(&output));
    }
    assert!(out(&output).contains("floodgate.toml:3:1"), "{}", out(&output));
    assert!(out(&output).contains("did you mean `listen`?"), "{}", out(&output));
    assert_eq!(err(&output), "");
}

#[test]
fn problems_can_be_had_as_json() {
    let (output, _directory) = with_file(&["check", "--json"], BAD);
    assert_eq!(output.status.code(), Some(1));
    let problems: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = problems.to_string();
    assert!(MISTAKES.iter().all(|mistake| text.contains(mistake)), "{problems:#}");
}

#[test]
fn a_file_that_is_not_there_fails_the_check_with_one_sentence() {
    let output = floodgate(&["check", "/nowhere/floodgate.toml"]);
    assert_ne!(output.status.code(), Some(0));
    assert_eq!(err(&output).lines().count(), 1, "{output:?}");
    assert!(err(&output).contains("/nowhere/floodgate.toml"), "{output:?}");
}

#[test]
fn keys_that_cannot_be_used_here_are_warned_of_and_the_file_is_good() {
    let journey =
        "[[journeys]]\nname = \"sale\"\nsteps = [\"one\", \"two\"]\nkeys = \"file:grant.keys\"\n";
    let text =
        format!("{}{journey}", Settings::upstream("").text(&["127.0.0.1:9000".parse().unwrap()]));
    let (output, directory) = with_file(&["check"], &text);
    let told = out(&output);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(told.contains("3 routes, 1 journeys)"), "{told}");
    assert!(
        told.contains("warning: it would not start here: the keys of journey sale: "),
        "{told}"
    );
    let keys = directory.path().join("grant.keys");
    assert!(told.contains(&format!("floodgate key > {})`", keys.display())), "{told}");
    std::fs::write(&keys, floodgate(&["key"]).stdout).unwrap();
    let open_to = |mode| {
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(mode)).unwrap();
        let file = directory.path().join("floodgate.toml");
        out(&floodgate(&["check", file.to_str().unwrap()]))
    };
    assert!(open_to(0o644).contains("chmod 600"), "{}", open_to(0o644));
    let told = open_to(0o600);
    assert!(!told.contains("chmod") && !told.contains("would not start"), "{told}");
}

// --- run ---

#[test]
fn a_bad_file_does_not_run_and_every_problem_is_listed() {
    let (output, _directory) = with_file(&["run", "--config"], BAD);
    assert_eq!(output.status.code(), Some(2));
    for mistake in MISTAKES {
        assert!(err(&output).contains(mistake), "{mistake}: {}", err(&output));
    }
    assert_eq!(out(&output), "");
}

#[test]
fn a_file_that_is_not_there_is_one_sentence() {
    let output = floodgate(&["run", "--config", "/nowhere/floodgate.toml"]);
    one_sentence(&output, &["/nowhere/floodgate.toml"]);
}

#[test]
fn a_port_in_use_is_one_sentence_that_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    for key in ["listen", "admin"] {
        let text = Settings::upstream("")
            .text(&["127.0.0.1:9000".parse().unwrap()])
            .replace(&format!("{key} = \"127.0.0.1:0\""), &format!("{key} = \"{addr}\""));
        let (output, _directory) = with_file(&["run", "--config"], &text);
        one_sentence(&output, &[&addr.to_string(), "in use", "choose another port"]);
    }
}

#[test]
fn the_port_of_another_gateway_is_in_use_too() {
    let origin = Origin::builder().start().unwrap();
    let other = Binary::start(&Settings::upstream("").text(&[origin.addr()]));
    let text = Settings::upstream("")
        .text(&[origin.addr()])
        .replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{}\"", other.listen));
    let (output, _directory) = with_file(&["run", "--config"], &text);
    one_sentence(&output, &[&other.listen.to_string(), "in use"]);
}

#[test]
fn too_few_file_descriptors_are_one_sentence_that_says_what_to_do() {
    let (_directory, file) =
        file(&Settings::upstream("").text(&["127.0.0.1:9000".parse().unwrap()]));
    let command = format!(
        "ulimit -n 32; exec '{}' run --config '{}'",
        env!("CARGO_BIN_EXE_floodgate"),
        file.display()
    );
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    one_sentence(&output, &["file descriptors", "ulimit -n"]);
}

#[tokio::test]
async fn it_prints_its_addresses_and_serves_there() {
    let origin = Origin::builder().start().unwrap();
    let gateway = Binary::start(&Settings::upstream("").text(&[origin.addr()]));
    assert_eq!(ask(gateway.listen, "/l1").await.status, 200);
    assert_eq!(gateway.admin.get("/readyz").await.status, 200);
}

// --- the others ---

#[test]
fn a_key_is_one_line_and_another_each_time() {
    let keys = [floodgate(&["key"]), floodgate(&["key"])].map(|output| {
        assert_eq!((output.status.code(), err(&output)), (Some(0), String::new()));
        out(&output)
    });
    assert_ne!(keys[0], keys[1]);
    for key in keys {
        assert_eq!(key.lines().count(), 1, "{key}");
        assert!(key.trim_end().len() >= 43, "{key}");
    }
    let help = out(&floodgate(&["key", "--help"]));
    for word in ["umask 077", "second line", "swap", "remove the old one"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[test]
fn the_schema_is_json_and_knows_the_keys() {
    let output = floodgate(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["$schema"].is_string(), "{schema:#}");
    let text = schema.to_string();
    for key in ["upstreams", "max_in_flight", "watermarks", "max_wait"] {
        assert!(text.contains(&format!("\"{key}\"")), "{key}");
    }
}

#[test]
fn the_help_names_every_command() {
    let output = floodgate(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    for command in ["run", "check", "key", "schema", "demo"] {
        let line = |line: &str| line.trim_start().starts_with(&format!("{command} "));
        assert!(out(&output).lines().any(line), "{command}: {}", out(&output));
    }
    assert_eq!(floodgate(&["--version"]).status.code(), Some(0));
}

#[test]
fn what_is_no_command_is_an_error() {
    for arguments in [&["rnu"][..], &["run"], &[]] {
        assert_eq!(floodgate(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
