//! Whatever changes the configuration: what is written is live, once, and nothing else is.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::live::{Launch, Live, origin, rename_over, text};
use crate::support::SOON;

#[tokio::test]
async fn a_write_in_place_is_live_at_once() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    gateway.write(&text(&origin, "max_in_flight = 3"));
    gateway.becomes(2).await;
    assert_eq!(gateway.limit().await, 3);
    let latest = gateway.history().await.remove(0);
    assert_eq!(latest["trigger"], "file");
    assert_eq!(latest["who"], gateway.file.display().to_string());
    assert_eq!(gateway.reloads("applied").await, 2, "the start and the change");
}

#[tokio::test]
async fn a_rename_over_the_file_is_live_at_once_every_time() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    for limit in 3..6 {
        rename_over(&gateway.file, &text(&origin, &format!("max_in_flight = {limit}")));
        gateway.becomes(limit - 1).await;
        assert_eq!(gateway.limit().await, limit);
    }
}

/// A folder with this text, to which `..data` points once this returns; as Kubernetes does it.
fn swap(directory: &Path, version: &str, text: &str) {
    fs::create_dir(directory.join(version)).unwrap();
    fs::write(directory.join(version).join("floodgate.toml"), text).unwrap();
    symlink(version, directory.join("..data_tmp")).unwrap();
    fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
}

#[tokio::test]
async fn the_swap_of_a_mounted_config_map_is_live_at_once_every_time() {
    let origin = origin();
    let directory = tempfile::tempdir().unwrap();
    swap(directory.path(), "..v2", &text(&origin, "max_in_flight = 2"));
    let file = directory.path().join("floodgate.toml");
    symlink("..data/floodgate.toml", &file).unwrap();
    let gateway = Launch::from_file(directory, file).start();
    for limit in 3..6 {
        let text = text(&origin, &format!("max_in_flight = {limit}"));
        swap(&gateway.beside(""), &format!("..v{limit}"), &text);
        fs::remove_dir_all(gateway.beside(&format!("..v{}", limit - 1))).unwrap();
        gateway.becomes(limit - 1).await;
        assert_eq!(gateway.limit().await, limit);
    }
}

#[tokio::test]
async fn a_file_whose_directory_tells_nothing_is_looked_at_all_the_same() {
    let origin = origin();
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("real.toml");
    fs::write(&target, text(&origin, "max_in_flight = 2")).unwrap();
    let file = directory.path().join("floodgate.toml");
    symlink(&target, &file).unwrap();
    let gateway = Launch::from_file(directory, file).start();
    // The look at the start is over.
    gateway.hang_up().await;
    gateway.has_reloads("unchanged", 1).await;
    fs::write(&target, text(&origin, "max_in_flight = 3")).unwrap();
    gateway.becomes_within(SOON, 2).await;
    assert_eq!(gateway.limit().await, 3);
}

#[tokio::test]
async fn of_a_write_in_two_steps_the_half_is_refused_and_the_whole_is_applied() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    let new = text(&origin, "max_in_flight = 3");
    let (half, rest) = new.split_at(new.find("_in_flight").unwrap());
    let mut file = OpenOptions::new().write(true).truncate(true).open(&gateway.file).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    gateway.has_reloads("rejected", 1).await;
    assert_eq!((gateway.generation().await, gateway.limit().await), (1, 2));
    assert_eq!(gateway.verdict("/l1").await.0, 200);
    file.write_all(rest.as_bytes()).unwrap();
    gateway.becomes(2).await;
    assert_eq!(gateway.limit().await, 3);
    assert!(gateway.config().await["rejected"].is_null());
}

#[tokio::test]
async fn writes_in_quick_succession_are_one_generation() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    for limit in [3, 4, 5] {
        gateway.write(&text(&origin, &format!("max_in_flight = {limit}")));
    }
    gateway.becomes(2).await;
    assert_eq!(gateway.limit().await, 5);
}

#[tokio::test]
async fn the_same_contents_and_other_comments_make_no_generation() {
    let origin = origin();
    let before = text(&origin, "max_in_flight = 2");
    let gateway = Live::start(&before);
    gateway.write(&before);
    rename_over(&gateway.file, &before);
    let commented = format!("# for the evening\n{before}");
    gateway.write(&commented);
    gateway.has_reloads("unchanged", 1).await;
    assert_eq!(gateway.config().await["text"], commented);
    assert_eq!((gateway.generation().await, gateway.reloads("applied").await), (1, 1));
    assert_eq!(gateway.history().await.len(), 1);
}

#[tokio::test]
async fn when_the_file_is_gone_the_last_good_one_stays_and_a_new_one_is_live_at_once() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    fs::remove_file(&gateway.file).unwrap();
    gateway.logged(&["cannot be read", "last good one stays"]).await;
    assert_eq!((gateway.generation().await, gateway.limit().await), (1, 2));
    assert_eq!(gateway.get("/readyz").await.status, 200);
    assert_eq!(gateway.verdict("/l1").await.0, 200);
    gateway.write(&text(&origin, "max_in_flight = 3"));
    gateway.becomes(2).await;
}

#[tokio::test]
async fn what_the_api_changed_lives_until_a_signal_and_the_file_is_not_touched() {
    let origin = origin();
    let before = text(&origin, "max_in_flight = 2");
    let gateway = Live::start(&before);
    let after = text(&origin, "max_in_flight = 3");
    assert_eq!(gateway.change(&after).await, 2);
    assert_eq!(gateway.limit().await, 3);
    assert_eq!(gateway.config().await["text"], after);
    assert_eq!(fs::read_to_string(&gateway.file).unwrap(), before);
    gateway.hang_up().await;
    gateway.becomes(3).await;
    assert_eq!(gateway.limit().await, 2);
    let triggers = gateway.history().await.into_iter().map(|mut one| one["trigger"].take());
    assert_eq!(triggers.collect::<Vec<_>>(), ["signal", "api", "start"]);
}

#[tokio::test]
async fn a_signal_amid_the_events_of_the_directory_is_not_lost() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    for round in 0..5 {
        gateway.change(&text(&origin, "max_in_flight = 3")).await;
        // An event that is being waited out when the signal comes, and a file that is as it was.
        fs::write(gateway.beside("other"), round.to_string()).unwrap();
        gateway.hang_up().await;
        gateway.becomes(3 + 2 * round).await;
        assert_eq!(gateway.limit().await, 2);
    }
}

#[tokio::test]
async fn overrides_of_the_environment_outlive_every_change() {
    let origin = origin();
    let gateway = Launch::new(&text(&origin, "max_in_flight = 2"))
        .env("FLOODGATE__UPSTREAMS__CHECKOUT__MAX_IN_FLIGHT", "7")
        .start();
    assert_eq!(gateway.limit().await, 7);
    gateway.write(&text(&origin, "max_in_flight = 3\nbuffer = 99"));
    gateway.becomes(2).await;
    let status = gateway.checkout().await;
    assert_eq!((&status["limit"], &status["buffer"]), (&7.into(), &99.into()));
    // What only the override hides is no change.
    let answer = gateway.put(&text(&origin, "max_in_flight = 4\nbuffer = 99")).await;
    assert_eq!(answer.json()["result"], "unchanged");
}
