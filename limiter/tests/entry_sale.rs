//! Entry control in whole sales.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod sale;

use sale::{Law, Run, Sale, run};

fn show(name: &str, sale: &Sale) {
    let mut o = run(sale);
    for seed in 2..=5 {
        let p = run(&Sale { seed, ..sale.clone() });
        o.efficiency += p.efficiency;
        o.utilisation += p.utilisation;
        o.failed += p.failed;
        o.holders_finished += p.holders_finished;
    }
    o.efficiency /= 5.0;
    o.utilisation /= 5.0;
    println!(
        "{name:28} eff {:.3} finish {:.3} wait {:6.1} max {:6.0} ms, entries wait {:6.1} ms, late {}, holders refused {}, util {:.3}, N {}, age {:.0} ms, N/O/E {:?} failed {:?} bots {}",
        o.efficiency,
        o.finish_ratio(),
        o.holder_wait_ms,
        o.holder_wait_max_ms,
        o.entry_wait_ms,
        o.entries_refused_late,
        o.holders_refused,
        o.utilisation,
        o.in_progress_max,
        o.entry_age_ms,
        o.standing,
        o.failed_by,
        o.bot_grants,
    );
}

#[test]
fn explore() {
    for overload in [1.0, 2.0, 5.0, 10.0, 20.0, 50.0] {
        for law in [Law::Fixed, Law::Exponential, Law::Uniform] {
            show(&format!("x{overload} {law:?}"), &Sale { overload, law, ..Sale::default() });
        }
    }
    for overload in [2.0, 10.0] {
        println!();
        let sale = Sale { overload, ..Sale::default() };
        let long = sale.think.map(|(a, b)| (a * 10.0, b * 10.0));
        show(
            &format!("x{overload} long"),
            &Sale { think: long, patience: 50.0, warm_up: 20.0, seconds: 80.0, ..sale.clone() },
        );
        show(
            &format!("x{overload} long patience 40"),
            &Sale { think: long, patience: 40.0, warm_up: 20.0, seconds: 80.0, ..sale.clone() },
        );
        show(&format!("x{overload} equal"), &Sale { think: [(240.0, 240.0); 5], ..sale.clone() });
        show(
            &format!("x{overload} abandon .05 (max .90)"),
            &Sale { abandon: 0.05, ..sale.clone() },
        );
        show(&format!("x{overload} bots"), &Sale { bots: 5000.0, ..sale.clone() });
        show(
            &format!("x{overload} 4500"),
            &Sale { capacity: 4500.0, workers: 100, buffer: 1000, ..sale.clone() },
        );
        let o = run(&Sale { freeze: Some((6.0, 9.0)), patience: 8.0, ..sale.clone() });
        println!(
            "freeze: before {:.1}, after by second {:.1} {:.1} {:.1} {:.1} refused {} failed {}",
            o.rate(3.0, 6.0),
            o.rate(9.0, 10.0),
            o.rate(10.0, 11.0),
            o.rate(11.0, 12.0),
            o.rate(12.0, 14.0),
            o.holders_refused,
            o.failed
        );
        show(
            &format!("x{overload} tiny"),
            &Sale { capacity: 10.0, workers: 1, seconds: 120.0, warm_up: 10.0, ..sale.clone() },
        );
        show(
            &format!("x{overload} small"),
            &Sale { capacity: 50.0, workers: 2, seconds: 60.0, warm_up: 10.0, ..sale.clone() },
        );
        show(
            &format!("x{overload} 50 permits"),
            &Sale { permits: Some(50), buffer: 500, ..sale.clone() },
        );
        let o = run(&Sale { quiet: 10.0, seconds: 20.0, ..sale.clone() });
        println!(
            "step at 10: {:?} failed {}",
            [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0].map(|t| o.rate(t, t + 1.0).round()),
            o.failed
        );
        let o = run(&Sale {
            quiet: 10.0,
            seconds: 20.0,
            permits: Some(50),
            buffer: 500,
            ..sale.clone()
        });
        println!(
            "step at 10, 50 permits: {:?} failed {} ",
            [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0]
                .map(|t| o.rate(t, t + 1.0).round()),
            o.failed
        );
        for times in [0.5, 2.0] {
            let o = run(&Sale { change: Some((7.0, times)), ..sale.clone() });
            println!(
                "x{times}: before {:.1}, after {:?} wait {:.1} max {:.0} failed {}",
                o.rate(4.0, 7.0),
                [7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0].map(|t| o.rate(t, t + 1.0).round()),
                o.holder_wait_ms,
                o.holder_wait_max_ms,
                o.failed
            );
        }
    }
}

#[test]
#[ignore]
fn trace() {
    let mut run = Run::new(Sale {
        overload: std::env::var("X").map_or(10.0, |x| x.parse().unwrap()),
        ..Sale::default()
    });
    run.trace = true;
    run.go();
}
