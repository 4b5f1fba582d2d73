//! Looks at the gate all the time: is a higher tier refused for capacity while a lower one is let in?
//!
//! The gate is the one place where that is decided, so it is asked there and not of the customers, whose
//! clocks know no order of decisions. Tiers are looked at one after the other, and the gate may change
//! between two looks; so what looks like an inversion is looked at again, several times over. One that stays
//! through all of them is one: the gate would have to have changed to and fro between every two.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use floodgate_limiter::{Limiter, Rejection, TierId};

use super::stage::Stage;

/// Time between two looks.
const PAUSE: Duration = Duration::from_micros(200);
/// Further looks at what seems to be an inversion.
const CONFIRMATIONS: usize = 8;

/// A thread that looks at the gate.
#[derive(Debug)]
pub(super) struct GateWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What it has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// How often it has looked.
    pub(super) looks: u64,
    /// In how many of them some tier was refused.
    pub(super) refusing: u64,
    /// In how many of them a higher tier was refused and a lower one let in.
    pub(super) inversions: u64,
    /// The first such case, and when it was.
    pub(super) first: Option<(Duration, Inversion)>,
}

/// A higher tier is refused for capacity while a lower one is let in. Tiers are by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inversion {
    pub(super) refused: usize,
    pub(super) reason: Rejection,
    pub(super) let_in: usize,
}

// === impl GateWatch ===

impl GateWatch {
    /// Starts to look at all upstreams of the stage.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(stage: &Stage) -> Result<Self, String> {
        let snapshot = stage.gateway.shared().snapshot.load_full();
        let limiters = snapshot.upstreams.iter().map(|upstream| Arc::clone(&upstream.limiter));
        let limiters: Vec<Arc<Limiter>> = limiters.collect();
        let tiers: Vec<TierId> = (0..snapshot.tiers.len())
            .filter_map(|index| TierId::new(u8::try_from(index).ok()?))
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("gate-watch".to_owned())
            .spawn(move || watch(&limiters, &tiers, &stopped))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { stop, thread })
    }

    /// Stops, and tells what was seen.
    pub(super) fn finish(self) -> Seen {
        self.stop.store(true, Relaxed);
        // If it has panicked, it has seen nothing, and the judge will say so.
        self.thread.join().unwrap_or_default()
    }
}

fn watch(limiters: &[Arc<Limiter>], tiers: &[TierId], stop: &AtomicBool) -> Seen {
    let (mut seen, start) = (Seen::default(), Instant::now());
    while !stop.load(Relaxed) {
        for limiter in limiters {
            let look = || tiers.iter().map(|tier| limiter.check(*tier));
            seen.looks += 1;
            seen.refusing += u64::from(look().any(|answer| answer.is_err()));
            if let Some(inversion) = confirmed(look) {
                seen.inversions += 1;
                seen.first.get_or_insert((start.elapsed(), inversion));
            }
        }
        std::thread::park_timeout(PAUSE);
    }
    seen
}

/// An inversion that every one of several looks sees.
fn confirmed<L: Iterator<Item = Result<(), Rejection>>>(
    mut look: impl FnMut() -> L,
) -> Option<Inversion> {
    let suspected = inversion(look())?;
    (0..CONFIRMATIONS).all(|_| inversion(look()) == Some(suspected)).then_some(suspected)
}

/// The first inversion in the gate's answers to all tiers, in order of priority.
fn inversion(answers: impl Iterator<Item = Result<(), Rejection>>) -> Option<Inversion> {
    let mut higher: Option<(usize, Rejection)> = None;
    for (tier, answer) in answers.enumerate() {
        match (answer, higher) {
            (Ok(()), Some((refused, reason))) => {
                return Some(Inversion { refused, reason, let_in: tier });
            }
            (Err(reason @ (Rejection::BufferFull | Rejection::Watermark)), None) => {
                higher = Some((tier, reason));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LET_IN: Result<(), Rejection> = Ok(());
    const SHED: Result<(), Rejection> = Err(Rejection::Watermark);
    const LATE: Result<(), Rejection> = Err(Rejection::QueueTimeout);

    #[test]
    fn a_higher_tier_refused_for_capacity_above_one_let_in_is_an_inversion() {
        let found = inversion([LET_IN, SHED, LET_IN].into_iter());
        let expected = Inversion { refused: 1, reason: Rejection::Watermark, let_in: 2 };
        assert_eq!(found, Some(expected));
        for fine in [[LET_IN, LET_IN, SHED], [SHED, SHED, SHED], [LET_IN; 3], [LATE, LET_IN, SHED]]
        {
            assert_eq!(inversion(fine.into_iter()), None, "{fine:?}");
        }
    }

    #[test]
    fn what_is_gone_at_the_second_look_was_a_change_between_two_loads() {
        let mut looks = 0;
        let flickers = || {
            looks += 1;
            [SHED, if looks == 1 { LET_IN } else { SHED }].into_iter()
        };
        assert_eq!(confirmed(flickers), None);
        assert!(confirmed(|| [SHED, LET_IN].into_iter()).is_some());
    }
}
