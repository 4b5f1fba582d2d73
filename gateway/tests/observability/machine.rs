//! What the kernel tells.

#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use floodgate_loadtest::origin::Origin;

use crate::support::{Running, SOON, Settings};

#[tokio::test]
async fn metrics_and_status_tell_what_the_kernel_does() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1").server("workers = 2\nbacklog = 64");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    // It takes two looks, a second apart, until it is known how busy a worker was.
    let begun = Instant::now();
    let metrics = loop {
        let metrics = gateway.metrics().await;
        if metrics.to_string().contains("floodgate_worker_busy_ratio{worker=\"1\"}") {
            break metrics;
        }
        assert!(begun.elapsed() < SOON, "{metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let (open, most) = (
        metrics.count("floodgate_process_open_fds", &[]),
        metrics.count("floodgate_process_max_fds", &[]),
    );
    assert!(3 < open && open <= most, "{open} {most}");
    assert!(metrics.sum("floodgate_process_start_time_seconds", &[]) > 1.7e9);
    assert!(metrics.sum("floodgate_process_resident_memory_bytes", &[]) > 1e6);
    for worker in ["worker=\"0\"", "worker=\"1\""] {
        assert_eq!(metrics.count("floodgate_listen_backlog", &[worker]), 64);
        assert_eq!(metrics.count("floodgate_listen_queue", &[worker]), 0);
        assert!(metrics.sum("floodgate_worker_cpu_seconds_total", &[worker]) > 0.0);
    }
    assert!(metrics.count("floodgate_worker_loop_lag_seconds_count", &[]) > 0);
    let status = gateway.status().await;
    assert_eq!(status["workers"].as_array().unwrap().len(), 2);
    assert_eq!(status["workers"][1]["listen_backlog"], 64);
    assert!(status["process"]["open_fds"].as_u64() > Some(3), "{status:#}");
}
