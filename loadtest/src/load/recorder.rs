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
pub(crate) struct Recorder {
    pub(crate) books: Books,
    /// The second that is running, per class.
    pub(crate) second: Vec<Tally>,
}

/// What is kept to the end of the run.
#[derive(Debug)]
pub(crate) struct Books {
    /// How late the generator turned to its arrivals.
    pub(crate) lag: Latencies,
    pub(crate) late: u64,
    pub(crate) retried: u64,
    /// Per phase, then per class.
    pub(crate) phases: Vec<Vec<Tally>>,
    /// Per class, then per bucket of the intended start.
    pub(crate) timeline: Vec<Vec<Bucket>>,
}

/// Counts and latencies of some requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) failed: Latencies,
    pub(crate) refused: Latencies,
    pub(crate) success: Latencies,
    pub(crate) timeout: Latencies,
    /// Counts by reason, of failures and of refusals.
    pub(crate) failed_by_reason: Vec<u64>,
    pub(crate) refused_by_reason: Vec<u64>,
}

// === impl Recorder ===

impl Recorder {
    pub(crate) fn new(plan: &Plan) -> Self {
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

    pub(crate) fn offered(&mut self, arrival: &Arrival) {
        self.tallies(arrival).for_each(|tally| tally.counts.offered += 1);
        self.bucket(arrival).offered += 1;
    }

    pub(crate) fn dropped(&mut self, arrival: &Arrival) {
        self.tallies(arrival).for_each(|tally| tally.counts.dropped += 1);
        self.bucket(arrival).dropped += 1;
    }

    pub(crate) fn lag(&mut self, lag: Duration, is_late: bool) {
        self.books.lag.record(lag);
        self.books.late += u64::from(is_late);
    }

    pub(crate) fn done(&mut self, sample: &Sample) {
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
    pub(crate) fn clear(&mut self) {
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
