//! Why a circuit is as it is, and what it would take, in a sentence.

use std::fmt::Write;

use floodgate_limiter::{
    CallCounts, CircuitCause, CircuitState, CircuitStatus, RampStatus, Timestamp,
};

/// Why a circuit with this status is as it is at `now`, and what would change it.
pub(crate) fn why(status: &CircuitStatus, now: Timestamp) -> String {
    match status.state {
        CircuitState::Closed => closed(status),
        CircuitState::Open => open(status, now),
        CircuitState::HalfOpen => half_open(status),
    }
}

fn closed(status: &CircuitStatus) -> String {
    let CallCounts { calls, .. } = status.counts;
    let least = u64::from(status.settings.min_calls());
    let mut text =
        if calls < least { format!("{calls} calls of {least} needed") } else { rates(status) };
    let [failures, slow] = CircuitCause::ALL.map(|cause| status.to_open(cause));
    let _infallible = write!(
        text,
        ": {failures} more {} in a row would open it, or {slow} more slow {}",
        plural(failures, "failure"),
        plural(slow, "call")
    );
    text
}

fn open(status: &CircuitStatus, now: Timestamp) -> String {
    let mut text = String::new();
    if let Some(opened) = status.opened {
        let CallCounts { calls, .. } = opened.counts;
        let bad = opened.counts.bad(opened.cause);
        let what = match opened.cause {
            CircuitCause::Failures => "failed",
            CircuitCause::Slow => "were slow",
        };
        let ago = now.saturating_since(opened.at).as_secs_f64();
        let run = match opened.run {
            0 | 1 => String::new(),
            run => format!(", the last {run} in a row"),
        };
        let _infallible =
            write!(text, "opened {ago:.1} s ago, since {bad} of {calls} calls {what}{run}");
    }
    let left = status.probes_at.map(|at| at.saturating_since(now).as_secs_f64());
    let probes = status.settings.probes();
    let _infallible = match left.filter(|left| *left > 0.0) {
        Some(left) => {
            write!(text, ": in {left:.1} s {probes} {} ask", plural(probes.into(), "probe"))
        }
        None => write!(text, ": the next {probes} {} ask", plural(probes.into(), "call")),
    };
    text
}

fn half_open(status: &CircuitStatus) -> String {
    let Some(ramp) = status.ramp else { return String::new() };
    let RampStatus { step, calls, under_way, ended, .. } = ramp;
    let (failures, slow) = (ended.failures, ended.slow);
    let next = match step {
        RampStatus::LAST => "closes it".to_owned(),
        _ => format!("lets in {}", calls.saturating_mul(2)),
    };
    format!(
        "step {step} of {}: {} of {calls} calls have ended, {failures} of them failed and {slow} slow, {under_way} under way; \
         fewer than {} of failures and {} of slow calls {next}",
        RampStatus::LAST,
        ended.calls,
        percent(status.settings.failure_rate()),
        percent(status.settings.slow_rate()),
    )
}

fn rates(status: &CircuitStatus) -> String {
    let CallCounts { calls, failures, slow } = status.counts;
    let rate = |bad: u64| percent(bad as f64 / calls.max(1) as f64);
    format!(
        "failure rate {} of {}, slow rate {} of {}",
        rate(failures),
        percent(status.settings.failure_rate()),
        rate(slow),
        percent(status.settings.slow_rate())
    )
}

fn percent(share: f64) -> String {
    // To one digit, and without one where there is none: 31 %, 0.5 %.
    let tenths = (share * 1e3).round() / 10.0;
    format!("{tenths} %")
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use floodgate_limiter::{CallOutcome, Circuit, CircuitSettings, Entered};

    use super::*;

    fn calls(circuit: &std::sync::Arc<Circuit>, count: u32, failed: bool, now: Timestamp) {
        for _ in 0..count {
            let Entered::In(call) = circuit.enter(now) else { panic!("refused") };
            call.report(0, CallOutcome { failed, slow: false }, now);
        }
    }

    #[test]
    fn it_says_why_and_what_it_would_take() {
        let now = Timestamp::from_nanos(100_000_000_000);
        let circuit = Circuit::new(CircuitSettings::default(), 1);
        let told = |now| why(&circuit.status(now), now);
        calls(&circuit, 12, false, now);
        let expected =
            "12 calls of 20 needed: 12 more failures in a row would open it, or 12 more slow calls";
        assert_eq!(told(now), expected);
        calls(&circuit, 8, true, now);
        let expected = "failure rate 40 % of 50 %, slow rate 0 % of 50 %: \
                        4 more failures in a row would open it, or 20 more slow calls";
        assert_eq!(told(now), expected);
        calls(&circuit, 4, true, now);
        let later = now + Duration::from_secs(3);
        let said = told(later);
        assert!(
            said.starts_with(
                "opened 3.0 s ago, since 12 of 24 calls failed, the last 12 in a row: in "
            ),
            "{said}"
        );
        let due = now + Duration::from_secs(11);
        assert!(told(due).ends_with(": the next 10 calls ask"), "{}", told(due));
        let Entered::In(probe) = circuit.enter(due) else { panic!("refused") };
        let expected = "step 0 of 5: 0 of 10 calls have ended, 0 of them failed and 0 slow, 1 under way; \
                        fewer than 50 % of failures and 50 % of slow calls lets in 20";
        assert_eq!(told(due), expected);
        drop(probe);
    }
}
