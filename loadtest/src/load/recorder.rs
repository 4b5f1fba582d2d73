//! What one worker writes down: constant memory, no allocation per request.

use std::time::Duration;

use super::{
    histogram::Latencies,
    plan::Plan,
    reason::ReasonId,
    report::{BUCKET, Bucket},
    sample::{Counts, Kind, Sample},
    schedule::Arrival,
};

/// The books of one worker.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) books: Books,
    /// The second that is running, per class.
    pub(super) second: Vec<Tally>,
}

/// What is kept to the end of the run.
#[derive(Debug)]
pub(super) struct Books {
    /// How late the generator turned to its arrivals.
    pub(super) lag: Latencies,
    pub(super) late: u64,
    pub(super) retried: u64,
    /// Per phase, then per class.
    pub(super) phases: Vec<Vec<Tally>>,
    /// Per class, then per bucket of the intended start.
    pub(super) timeline: Vec<Vec<Bucket>>,
}

/// Counts and latencies of some requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) failed: Latencies,
    pub(super) refused: Latencies,
    pub(super) success: Latencies,
    pub(super) timeout: Latencies,
    /// Counts by reason, of failures and of refusals.
    pub(super) failed_by_reason: Vec<u64>,
    pub(super) refused_by_reason: Vec<u64>,
}

// === impl Recorder ===

impl Recorder {
    pub(super) fn new(plan: &Plan) -> Self {
        let classes = plan.templates.len();
        let buckets = plan.duration().as_nanos().div_ceil(BUCKET.as_nanos()) as usize;
        Self {
            books: Books {
                lag: Latencies::default(),
                late: 0,
                retried: 0,
                phases: vec![vec![Tally::default(); classes]; plan.phases.len()],
                timeline: vec![vec![Bucket::default(); buckets]; classes],
            },
            second: vec![Tally::default(); classes],
        }
    }

    pub(super) fn offered(&mut self, arrival: &Arrival) {
        self.tallies(arrival).for_each(|tally| tally.counts.offered += 1);
        self.bucket(arrival).offered += 1;
    }

    pub(super) fn dropped(&mut self, arrival: &Arrival) {
        self.tallies(arrival).for_each(|tally| tally.counts.dropped += 1);
        self.bucket(arrival).dropped += 1;
    }

    pub(super) fn lag(&mut self, lag: Duration, is_late: bool) {
        self.books.lag.record(lag);
        self.books.late += u64::from(is_late);
    }

    pub(super) fn done(&mut self, sample: &Sample) {
        self.tallies(&sample.arrival).for_each(|tally| tally.done(sample));
        let bucket = self.bucket(&sample.arrival);
        match sample.kind {
            Kind::Failed | Kind::Timeout => bucket.failed += 1,
            Kind::Refused => bucket.refused += 1,
            Kind::Success => bucket.success += 1,
        }
    }

    fn tallies(&mut self, arrival: &Arrival) -> impl Iterator<Item = &mut Tally> {
        let class = usize::from(arrival.class);
        let phase = &mut self.books.phases[usize::from(arrival.phase)];
        [&mut phase[class], &mut self.second[class]].into_iter()
    }

    fn bucket(&mut self, arrival: &Arrival) -> &mut Bucket {
        let index = (arrival.intended.as_nanos() / BUCKET.as_nanos()) as usize;
        &mut self.books.timeline[usize::from(arrival.class)][index]
    }
}

// === impl Tally ===

impl Tally {
    fn done(&mut self, sample: &Sample) {
        self.counts.count(sample.kind);
        let latencies = match sample.kind {
            Kind::Failed => &mut self.failed,
            Kind::Refused => &mut self.refused,
            Kind::Success => &mut self.success,
            Kind::Timeout => &mut self.timeout,
        };
        latencies.record(sample.latency());
        match sample.kind {
            Kind::Failed => count_reason(&mut self.failed_by_reason, sample.reason),
            Kind::Refused => count_reason(&mut self.refused_by_reason, sample.reason),
            Kind::Success | Kind::Timeout => {}
        }
    }

    /// Forgets everything and keeps the allocations.
    pub(super) fn clear(&mut self) {
        self.counts = Counts::default();
        for latencies in [&mut self.failed, &mut self.refused, &mut self.success, &mut self.timeout]
        {
            latencies.clear();
        }
        self.failed_by_reason.fill(0);
        self.refused_by_reason.fill(0);
    }
}

/// The table of reasons is bounded, and so is this.
fn count_reason(counts: &mut Vec<u64>, reason: ReasonId) {
    let index = usize::from(reason);
    if counts.len() <= index {
        counts.resize(index + 1, 0);
    }
    counts[index] += 1;
}
