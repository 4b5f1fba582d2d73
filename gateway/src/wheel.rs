//! Coarse alarms, one per connection: a wheel of slots that turns every 20 ms.
//!
//! A connection moves its alarm with every request, and hardly any ever goes off. So an alarm that is
//! put off only gets another time; it stays in its slot and is filed anew when that comes round
//! (the lazy variant of Varghese and Lauck's hashed wheel, 1987). To move an alarm is then a
//! store, where a timer of the runtime takes a lock and several cache lines.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

/// How exact an alarm is: it goes off at most two of these late, and never early.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Slots of the wheel, 10 s in all: what is due later is filed anew on the way.
const SLOTS: u64 = 512;

/// No entry, or none further.
const NONE: u32 = u32::MAX;
/// Is not due.
const NEVER: u64 = u64::MAX;

/// One worker's alarms.
#[derive(Debug)]
pub(crate) struct Wheel(RefCell<Inner>);

/// One connection's alarm; silent at first.
#[derive(Debug)]
pub(crate) struct Alarm {
    wheel: Rc<Wheel>,
    entry: u32,
}

#[derive(Debug)]
struct Inner {
    /// Ticks since the beginning.
    now: u64,
    /// First entry of each slot.
    slots: Box<[u32]>,
    entries: Vec<Entry>,
    /// First of the unused entries, linked by `next`.
    unused: u32,
}

#[derive(Debug)]
struct Entry {
    /// The tick at which it goes off.
    due: u64,
    /// The tick at whose slot it stands, if it stands in one.
    filed: u64,
    next: u32,
    previous: u32,
    waker: Option<Waker>,
}

// === impl Wheel ===

impl Wheel {
    /// Without alarms.
    pub(crate) fn new() -> Rc<Self> {
        let slots = vec![NONE; SLOTS as usize].into_boxed_slice();
        Rc::new(Self(RefCell::new(Inner { now: 0, slots, entries: Vec::new(), unused: NONE })))
    }

    /// An alarm.
    pub(crate) fn alarm(self: &Rc<Self>) -> Alarm {
        Alarm { wheel: Rc::clone(self), entry: self.0.borrow_mut().add() }
    }

    /// Turns the wheel to `elapsed` since its beginning, and wakes those whose alarms go off.
    pub(crate) fn turn(&self, elapsed: Duration) {
        let tick = (elapsed.as_nanos() / TICK.as_nanos()) as u64;
        // One by one and without the borrow: who is woken may move an alarm.
        loop {
            let Some(at) = self.0.borrow_mut().step(tick) else { return };
            loop {
                let Some(waker) = self.0.borrow_mut().next_due(at) else { break };
                waker.wake();
            }
        }
    }
}

// === impl Alarm ===

impl Alarm {
    /// Wakes the task of `cx` once `after` has passed, instead of at any earlier chosen time.
    pub(crate) fn set(&self, after: Duration, cx: &Context<'_>) {
        let ticks = after.as_nanos().div_ceil(TICK.as_nanos());
        let ticks = u64::try_from(ticks).unwrap_or(u64::MAX / 2);
        self.wheel.0.borrow_mut().set(self.entry, ticks, cx.waker());
    }

    /// Wakes nobody.
    pub(crate) fn clear(&self) {
        self.wheel.0.borrow_mut().entries[self.entry as usize].due = NEVER;
    }

    /// Whether the chosen time has come.
    pub(crate) fn is_due(&self) -> bool {
        let wheel = self.wheel.0.borrow();
        wheel.entries[self.entry as usize].due <= wheel.now
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let _waker = self.wheel.0.borrow_mut().remove(self.entry);
    }
}

// === impl Inner ===

impl Inner {
    fn add(&mut self) -> u32 {
        let blank = Entry { due: NEVER, filed: NEVER, next: NONE, previous: NONE, waker: None };
        if self.unused == NONE {
            self.entries.push(blank);
            return self.entries.len() as u32 - 1;
        }
        let entry = self.unused;
        self.unused = std::mem::replace(&mut self.entries[entry as usize], blank).next;
        entry
    }

    fn remove(&mut self, entry: u32) -> Option<Waker> {
        self.unfile(entry);
        let unused = std::mem::replace(&mut self.unused, entry);
        let entry = &mut self.entries[entry as usize];
        entry.next = unused;
        entry.waker.take()
    }

    fn set(&mut self, entry: u32, ticks: u64, waker: &Waker) {
        // The present tick is under way: of it nothing counts.
        let due = self.now + ticks + 1;
        let at = &mut self.entries[entry as usize];
        at.due = due;
        if !at.waker.as_ref().is_some_and(|same| same.will_wake(waker)) {
            at.waker = Some(waker.clone());
        }
        if at.filed > due {
            self.unfile(entry);
            self.file(entry);
        }
    }

    /// Puts an entry where the wheel looks before it is due.
    fn file(&mut self, entry: u32) {
        let filed = self.entries[entry as usize].due.min(self.now + SLOTS - 1);
        let next = std::mem::replace(&mut self.slots[(filed % SLOTS) as usize], entry);
        let at = &mut self.entries[entry as usize];
        (at.filed, at.next, at.previous) = (filed, next, NONE);
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = entry;
        }
    }

    fn unfile(&mut self, entry: u32) {
        let at = &mut self.entries[entry as usize];
        let (filed, next, previous) = (at.filed, at.next, at.previous);
        if filed == NEVER {
            return;
        }
        at.filed = NEVER;
        match self.entries.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.slots[(filed % SLOTS) as usize] = next,
        }
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = previous;
        }
    }

    /// The next tick on the way to `tick`.
    fn step(&mut self, tick: u64) -> Option<u64> {
        // More than once around, every slot has been looked at.
        self.now = self.now.max(tick.saturating_sub(SLOTS));
        (self.now < tick).then(|| {
            self.now += 1;
            self.now
        })
    }

    /// Whom to wake next of those who stand at tick `at`; those who were put off are filed anew.
    fn next_due(&mut self, at: u64) -> Option<Waker> {
        loop {
            let entry = self.slots[(at % SLOTS) as usize];
            let due = self.entries.get(entry as usize)?.due;
            self.unfile(entry);
            if due <= at {
                return self.entries[entry as usize].waker.clone();
            }
            if due != NEVER {
                self.file(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// An alarm's task.
    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::<Count>::default();
        (Arc::clone(&count), Waker::from(count))
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn an_alarm_goes_off_once_in_time_and_never_early() {
        for after in [0, 1, 19, 20, 21, 500, 10_239, 10_240, 10_241, 60_000, 3_600_000] {
            let (count, waker) = task();
            let wheel = Wheel::new();
            wheel.turn(ms(1_000));
            let alarm = wheel.alarm();
            alarm.set(ms(after), &Context::from_waker(&waker));
            let mut at = 1_000;
            while at < 1_000 + after {
                assert!(!alarm.is_due() && count.0.load(Relaxed) == 0, "{after} at {at}");
                at += 10;
                wheel.turn(ms(at.min(999 + after)));
            }
            wheel.turn(ms(1_000 + after + 40));
            assert!(alarm.is_due(), "{after}");
            wheel.turn(ms(1_000 + after + 20_000));
            assert_eq!(count.0.load(Relaxed), 1, "{after}");
        }
    }

    #[test]
    fn the_last_word_counts_be_it_earlier_later_or_never() {
        let (count, waker) = task();
        let cx = &Context::from_waker(&waker);
        let wheel = Wheel::new();
        let alarm = wheel.alarm();
        alarm.set(ms(1_000), cx);
        alarm.set(ms(100), cx);
        wheel.turn(ms(150));
        assert_eq!(count.0.load(Relaxed), 1);
        alarm.set(ms(100), cx);
        alarm.set(ms(20_000), cx);
        wheel.turn(ms(15_000));
        assert_eq!(count.0.load(Relaxed), 1);
        alarm.clear();
        wheel.turn(ms(60_000));
        assert!(!alarm.is_due());
        assert_eq!(count.0.load(Relaxed), 1);
    }

    #[test]
    fn a_wheel_that_stood_still_wakes_everybody_who_was_due() {
        let wheel = Wheel::new();
        let tasks: Vec<_> = (0..3_000).map(|_| task()).collect();
        let alarms: Vec<_> = (0..)
            .zip(&tasks)
            .map(|(at, (_, waker))| {
                let alarm = wheel.alarm();
                alarm.set(ms(at * 10), &Context::from_waker(waker));
                alarm
            })
            .collect();
        wheel.turn(ms(20_000));
        for (at, (count, _)) in tasks.iter().enumerate() {
            assert_eq!(count.0.load(Relaxed), u32::from(at * 10 <= 19_980), "{at}");
        }
        wheel.turn(ms(100_000));
        assert!(alarms.iter().all(Alarm::is_due));
        assert!(tasks.iter().all(|(count, _)| count.0.load(Relaxed) == 1));
    }

    #[test]
    fn who_is_gone_is_not_woken_and_leaves_room() {
        let wheel = Wheel::new();
        let (count, waker) = task();
        for _ in 0..1_000 {
            let alarms: Vec<_> = (0..10).map(|_| wheel.alarm()).collect();
            alarms.iter().for_each(|alarm| alarm.set(ms(50), &Context::from_waker(&waker)));
        }
        assert_eq!(wheel.0.borrow().entries.len(), 10);
        wheel.turn(ms(1_000));
        assert_eq!(count.0.load(Relaxed), 0);
        assert_eq!(Arc::strong_count(&count), 2, "a waker is kept by nobody");
    }
}
