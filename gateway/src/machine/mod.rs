//! What the kernel tells of this process: descriptors, processor time, the queues in front of the listeners. The admin thread
//! looks once a second, so a scrape reads memory only and no customer waits for a file; only how late its loop is, each worker
//! notes itself, at a turn of its wheel. What a system does not tell is left out.

mod kernel;
mod lag;
mod listening;

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kernel::Kernel;
pub(crate) use lag::Lag;
pub(crate) use listening::Listening;

/// A number that is not known, until it is.
#[derive(Debug)]
pub(crate) struct Known(AtomicU64);

/// What is known of the process.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Seconds since 1970.
    pub started: f64,
    /// Processor time of all threads, in nanoseconds.
    pub cpu: Known,
    /// Descriptors that are open.
    pub open_fds: Known,
    /// How many may be.
    pub max_fds: Known,
    /// Connections that found a listener's queue full, since the network namespace was made: ours, and all others in it.
    pub overflows: Known,
    /// Of the same, all that were not accepted for any reason, a full queue among them.
    pub drops: Known,
    /// By worker.
    pub workers: Box<[Thread]>,
}

/// What is known of a worker's thread and its listener.
#[derive(Debug)]
pub(crate) struct Thread {
    /// How late its loop is: written by the worker, apart from what the admin thread writes.
    pub lag: Lag,
    /// Its listener, while it accepts.
    pub listening: Listening,
    /// The kernel's number of the thread.
    tid: Known,
    /// Time on a core, in nanoseconds.
    pub cpu: Known,
    /// Time that it was ready to run and another thread had the core, in nanoseconds.
    pub run_queue: Known,
    /// Part of the last second that it was on a core, in millionths.
    pub busy: Known,
    /// Connections that wait to be accepted.
    pub queued: Known,
    /// How many may.
    pub backlog: Known,
}

/// The eye of the admin thread.
#[derive(Debug)]
pub(crate) struct Look {
    kernel: Kernel,
    /// When it looked last, and how long each worker had been on a core by then.
    before: Option<(Instant, Vec<Option<u64>>)>,
}

// === impl Known ===

impl Known {
    const UNKNOWN: u64 = u64::MAX;

    /// Nothing is known.
    const fn new() -> Self {
        Self(AtomicU64::new(Self::UNKNOWN))
    }

    /// The last that was seen.
    pub(crate) fn get(&self) -> Option<u64> {
        Some(self.0.load(Relaxed)).filter(|&value| value != Self::UNKNOWN)
    }

    /// The same of nanoseconds, in seconds.
    pub(crate) fn seconds(&self) -> Option<f64> {
        self.get().map(|nanos| nanos as f64 / 1e9)
    }

    fn set(&self, value: Option<u64>) {
        self.0.store(value.unwrap_or(Self::UNKNOWN), Relaxed);
    }
}

// === impl Machine ===

impl Machine {
    /// Of a process with so many workers, nothing yet.
    pub(crate) fn new(workers: usize) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: started.as_secs_f64(),
            cpu: Known::new(),
            open_fds: Known::new(),
            max_fds: Known::new(),
            overflows: Known::new(),
            drops: Known::new(),
            workers: (0..workers).map(|_| Thread::new()).collect(),
        }
    }
}

// === impl Thread ===

impl Thread {
    fn new() -> Self {
        Self {
            lag: Lag::default(),
            listening: Listening::default(),
            tid: Known::new(),
            cpu: Known::new(),
            run_queue: Known::new(),
            busy: Known::new(),
            queued: Known::new(),
            backlog: Known::new(),
        }
    }

    /// The calling thread is it.
    pub(crate) fn is_here(&self) {
        let link = fs::read_link("/proc/thread-self").ok();
        self.tid.set(link.as_deref().and_then(|link| link.file_name()?.to_str()?.parse().ok()));
    }

    /// Part of the last second that it was on a core.
    pub(crate) fn busy(&self) -> Option<f64> {
        self.busy.get().map(|millionths| millionths as f64 / 1e6)
    }
}

// === impl Look ===

impl Look {
    /// At this process.
    pub(crate) fn new() -> Self {
        Self { kernel: Kernel::new(), before: None }
    }

    /// Takes in what there is to see at `now`.
    pub(crate) fn look(&mut self, machine: &Machine, now: Instant) {
        machine.cpu.set(self.kernel.cpu());
        machine.open_fds.set(self.kernel.open_descriptors());
        machine.max_fds.set(crate::descriptors::limit());
        let (overflows, drops) = self.kernel.listen_counts();
        machine.overflows.set(overflows);
        machine.drops.set(drops);
        let before = self.before.take();
        let mut times = Vec::with_capacity(machine.workers.len());
        for (index, worker) in machine.workers.iter().enumerate() {
            let (cpu, run_queue) =
                worker.tid.get().map_or((None, None), |tid| self.kernel.thread_times(tid));
            worker.cpu.set(cpu);
            worker.run_queue.set(run_queue);
            let last = before.as_ref().and_then(|(at, times)| Some((*at, (*times.get(index)?)?)));
            worker.busy.set(last.zip(cpu).map(|((at, last), cpu)| {
                millionths(Duration::from_nanos(cpu.saturating_sub(last)), now - at)
            }));
            times.push(cpu);
            let queue = worker.listening.queue();
            worker.queued.set(queue.map(|queue| queue.waiting.into()));
            worker.backlog.set(queue.map(|queue| queue.most.into()));
        }
        self.before = Some((now, times));
    }
}

/// `part` of `whole`, at most all of it.
fn millionths(part: Duration, whole: Duration) -> u64 {
    let ratio = part.as_secs_f64() / whole.as_secs_f64().max(1e-9);
    (ratio.min(1.0) * 1e6) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_told_is_not_known() {
        let known = Known::new();
        assert_eq!((known.get(), known.seconds()), (None, None));
        known.set(Some(1_500_000_000));
        assert_eq!(known.seconds(), Some(1.5));
        known.set(None);
        assert_eq!(known.get(), None);
    }

    #[test]
    fn a_thread_is_busy_for_its_part_of_the_time_between_two_looks() {
        let millis = Duration::from_millis;
        assert_eq!(millionths(millis(250), millis(1_000)), 250_000);
        assert_eq!(millionths(millis(1_001), millis(1_000)), 1_000_000);
        assert_eq!(millionths(Duration::ZERO, Duration::ZERO), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_spins_is_seen_to_be_busy_and_one_that_waits_is_not() {
        use std::sync::atomic::AtomicBool;
        use std::sync::mpsc;

        let machine = Machine::new(2);
        let (stop, (here, are_here)) = (AtomicBool::new(false), mpsc::channel());
        std::thread::scope(|scope| {
            let (machine, stop) = (&machine, &stop);
            let spins = here.clone();
            scope.spawn(move || {
                machine.workers[0].is_here();
                spins.send(()).unwrap();
                while !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
            scope.spawn(move || {
                machine.workers[1].is_here();
                here.send(()).unwrap();
                while !stop.load(Relaxed) {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
            });
            are_here.iter().take(2).for_each(drop);
            let begun = Instant::now();
            let mut look = Look::new();
            look.look(machine, begun);
            assert!(machine.workers.iter().all(|worker| worker.busy().is_none()), "{machine:?}");
            // On a machine that is busy itself it may take long until it has had a core.
            let [spinning, waiting] = &*machine.workers else { unreachable!() };
            let before = spinning.cpu.get().unwrap();
            while spinning.cpu.get().unwrap() < before + 50_000_000 {
                std::thread::yield_now();
                look.look(machine, Instant::now());
            }
            look.before = Some((begun, vec![Some(before), waiting.cpu.get()]));
            look.look(machine, Instant::now());
            stop.store(true, Relaxed);
            assert!(spinning.busy() > waiting.busy(), "{machine:?}");
        });
        assert!(machine.cpu.get().is_some() && machine.open_fds.get() >= Some(3), "{machine:?}");
        assert!(machine.max_fds.get() >= machine.open_fds.get(), "{machine:?}");
    }
}
