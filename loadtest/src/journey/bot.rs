//! Programs that go straight to the order, honour nothing, and change their name when refused.
//!
//! A new name does not mean a new connection: that is what the share of fresh ones is for.

use std::{rc::Rc, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::rng::Rng;

use super::{
    ask::{Line, Said},
    customer::Shopper,
    plan::Bots,
    venue::{Ending, Venue},
};

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs bot `index` until no more intents come.
pub(super) async fn run(venue: Rc<Venue>, index: u64) {
    let plan = std::sync::Arc::clone(&venue.plan);
    let Some(bots) = &plan.bots else { return };
    // Beside the streams of customers, which have the high bit only.
    let mut rng = Rng::new(plan.seed, index | 3 << 62);
    let stop = venue.start + plan.duration;
    let mut due = venue.start + bots.start + bots.period.sample(&mut rng);
    let (mut number, mut line) = (0u64, Line::new(stop));
    while due < stop {
        let name = format!("bot{index}-{number}");
        number += 1;
        venue.traffic(|traffic| traffic.bots.started += 1);
        let mut shopper = Shopper::new(&venue, name, rng, line, stop);
        let ending = identity(&venue, bots, &mut shopper, &mut due, stop).await;
        (rng, line) = (shopper.rng, shopper.line);
        venue.traffic(|traffic| traffic.bots.count(ending));
    }
}

/// Lives as one identity until it has bought, or has been refused too often.
async fn identity(
    venue: &Venue,
    bots: &Bots,
    shopper: &mut Shopper,
    due: &mut Instant,
    stop: Instant,
) -> Ending {
    let class = venue.plan.steps.len() as u16;
    let mut refusals_left = 5 + shopper.rng.below(16);
    for step in bots.steps.iter().map(|step| &venue.plan.steps[*step]) {
        loop {
            sleep_until((*due).min(stop)).await;
            if *due >= stop {
                return Ending::Unfinished;
            }
            shopper.until = (Instant::now() + TIMEOUT).min(venue.end());
            let call = shopper.call(venue, class, step, *due, bots.fresh_share);
            let (said, _) = call.await;
            venue.traffic(|traffic| traffic.bot_requests += 1);
            *due = Instant::now() + bots.period.sample(&mut shopper.rng);
            match said {
                Said::Yes => break,
                Said::SoldOut => return Ending::SoldOut,
                _ if refusals_left == 0 => return Ending::GaveUp,
                _ => refusals_left -= 1,
            }
        }
    }
    Ending::Completed
}
