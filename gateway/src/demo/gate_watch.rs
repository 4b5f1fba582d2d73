//! Looks at the gate all the time: is a higher tier refused for capacity while a lower one is let in?
//!
//! The gate is the one place where that is decided, so it is asked there and not of the customers, whose
//! clocks know no order of decisions. One look is one load: it tells of all tiers at the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use floodgate_limiter::{Limiter, Refused};

use super::stage::Stage;

/// Time between two looks.
const PAUSE: Duration = Duration::from_micros(200);
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
        let tiers = snapshot.tiers.len();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("gate-watch".to_owned())
            .spawn(move || watch(&limiters, tiers, &stopped))
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

fn watch(limiters: &[Arc<Limiter>], tiers: usize, stop: &AtomicBool) -> Seen {
    let (mut seen, start) = (Seen::default(), Instant::now());
    while !stop.load(Relaxed) {
        for limiter in limiters {
            let refused = limiter.refused();
            seen.looks += 1;
            seen.refusing += u64::from(refused.at_all != 0);
            if let Some(inversion) = inversion(refused, tiers) {
                seen.inversions += 1;
                seen.first.get_or_insert((start.elapsed(), inversion));
            }
        }
        std::thread::park_timeout(PAUSE);
    }
    seen
}

/// The highest tier that is refused for capacity and the first below it that is let in, if there are
/// two such.
fn inversion(refused: Refused, tiers: usize) -> Option<Inversion> {
    let is_set = |mask: u8, tier: usize| mask >> tier & 1 != 0;
    let higher = (0..tiers).find(|tier| is_set(refused.for_capacity, *tier))?;
    let let_in = (higher + 1..tiers).find(|tier| !is_set(refused.at_all, *tier))?;
    Some(Inversion { refused: higher, let_in })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_tier_refused_for_capacity_above_one_let_in_is_an_inversion() {
        let look = |for_capacity, at_all| inversion(Refused { for_capacity, at_all }, 3);
        assert_eq!(look(0b010, 0b010), Some(Inversion { refused: 1, let_in: 2 }));
        assert_eq!(look(0b001, 0b011), Some(Inversion { refused: 0, let_in: 2 }));
        for (for_capacity, at_all) in
            [(0b100, 0b100), (0b111, 0b111), (0, 0), (0b100, 0b101), (0b010, 0b110)]
        {
            assert_eq!(look(for_capacity, at_all), None, "{for_capacity:b} {at_all:b}");
        }
    }
}
