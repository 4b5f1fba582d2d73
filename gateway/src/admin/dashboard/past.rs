//! The last minutes, second by second, so that a page that is opened in the middle of a storm shows how it came to
//! that. Memory of a fixed size: a second of four tiers is about 300 bytes.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use floodgate_limiter::Timestamp;

use crate::metrics::{Account, Books};
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// Seconds that are remembered: ten minutes.
const SECONDS: usize = 600;

/// The last minutes.
#[derive(Debug, Default)]
pub(super) struct Past {
    seconds: VecDeque<Second>,
    /// Counts seconds, so that a watcher sees that it has missed one.
    number: u64,
    before: Option<Before>,
}

/// What had been counted when the last second ended.
#[derive(Debug)]
struct Before {
    at: Timestamp,
    names: Arc<[String]>,
    books: Books,
    trips: Vec<u64>,
    grants: [u64; 2],
}

/// What happened in a second.
#[derive(Debug)]
struct Second {
    number: u64,
    unix_ms: u64,
    /// How long it was.
    ms: u32,
    /// Names of the tiers; the same for all seconds of a configuration.
    names: Arc<[String]>,
    /// In the order of the names, and at the end what belonged to no tier.
    tiers: Box<[TierSecond]>,
    /// Grants that were given, and journeys that came to their end.
    grants: [u64; 2],
}

#[derive(Debug)]
struct TierSecond {
    offered: u64,
    admitted: u64,
    completed: u64,
    failed: u64,
    abandoned: u64,
    /// Percent, as it was at the end; the highest of all upstreams.
    level: u8,
    /// Whether it was open at the end at some upstream, and how often it tripped.
    open: bool,
    trips: u64,
    /// By [`Reason::index`], those that occurred.
    refused: Box<[(u16, u64)]>,
}

// === impl Past ===

impl Past {
    /// A second is over at `now`. The first call only begins.
    pub(super) fn record(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let books = Books::read(snapshot);
        let (mut levels, mut open, mut trips) = (
            vec![0.0_f64; books.tiers.len()],
            vec![false; books.tiers.len()],
            vec![0; books.tiers.len()],
        );
        for upstream in &snapshot.upstreams {
            for (at, tier) in upstream.limiter.status(now).tiers.iter().enumerate() {
                levels[at] = levels[at].max(tier.pressure);
                open[at] |= tier.open;
                trips[at] += tier.trips;
            }
        }
        let journeys = snapshot.journeys.iter().map(|journey| journey.status());
        let grants = journeys
            .fold([0, 0], |sum: [u64; 2], seen| [sum[0] + seen.given, sum[1] + seen.finished]);
        let same = self
            .before
            .as_ref()
            .filter(|before| before.names.iter().eq(snapshot.tiers.iter().map(|tier| &tier.name)));
        let names: Arc<[String]> = match same {
            Some(before) => Arc::clone(&before.names),
            None => snapshot.tiers.iter().map(|tier| tier.name.clone()).collect(),
        };
        if let Some(before) = &self.before {
            // A tier that is new began with the reload that brought it.
            let earlier = |name: &String| before.names.iter().position(|earlier| earlier == name);
            let one = |at: usize, name: &String| {
                let then = earlier(name);
                let account = then.map(|at| before.books.tiers[at]).unwrap_or_default();
                TierSecond {
                    level: (levels[at] * 100.0).round().clamp(0.0, 100.0) as u8,
                    open: open[at],
                    trips: trips[at].saturating_sub(then.map_or(0, |at| before.trips[at])),
                    ..TierSecond::from(books.tiers[at] - account)
                }
            };
            let rest = TierSecond::from(books.unmatched - before.books.unmatched);
            let tiers = names.iter().enumerate().map(|(at, name)| one(at, name)).chain([rest]);
            let ms = now.saturating_since(before.at).as_millis();
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.number += 1;
            let second = Second {
                number: self.number,
                unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
                ms: u32::try_from(ms).unwrap_or(u32::MAX),
                names: Arc::clone(&names),
                tiers: tiers.collect(),
                grants: [0, 1].map(|at| grants[at].saturating_sub(before.grants[at])),
            };
            if self.seconds.len() == SECONDS {
                self.seconds.pop_front();
            }
            self.seconds.push_back(second);
        }
        self.before = Some(Before { at: now, names, books, trips, grants });
    }

    /// All seconds as JSON, the oldest first, with the tiers named as in `names`.
    pub(super) fn write(&self, names: &[&str], out: &mut String) {
        out.push('[');
        for (at, second) in self.seconds.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            second.write(names, out);
        }
        out.push(']');
    }

    /// The last second, or `null`.
    pub(super) fn write_last(&self, names: &[&str], out: &mut String) {
        match self.seconds.back() {
            Some(second) => second.write(names, out),
            None => out.push_str("null"),
        }
    }
}

// === impl Second ===

impl Second {
    /// `[number, unix_ms, ms, given, finished, tier…, no tier]`, a tier being `[offered, admitted, completed, failed,
    /// abandoned, level, open, trips, reason, count, reason, count…]`, or 0 if there was none.
    fn write(&self, names: &[&str], out: &mut String) {
        let Self { number, unix_ms, ms, grants: [given, finished], .. } = self;
        let mut write = |arguments: std::fmt::Arguments<'_>| {
            let _infallible = out.write_fmt(arguments);
        };
        write(format_args!("[{number},{unix_ms},{ms},{given},{finished}"));
        let tiers = names.iter().map(|name| {
            self.names.iter().position(|known| known == name).map(|at| &self.tiers[at])
        });
        for tier in tiers.chain([self.tiers.last()]) {
            let Some(tier) = tier else {
                write(format_args!(",0"));
                continue;
            };
            let TierSecond { offered, admitted, completed, failed, abandoned, .. } = tier;
            let (level, open, trips) = (tier.level, u8::from(tier.open), tier.trips);
            write(format_args!(
                ",[{offered},{admitted},{completed},{failed},{abandoned},{level},{open},{trips}"
            ));
            for (reason, count) in &tier.refused {
                write(format_args!(",{reason},{count}"));
            }
            write(format_args!("]"));
        }
        write(format_args!("]"));
    }
}

// === impl TierSecond ===

impl From<Account> for TierSecond {
    fn from(account: Account) -> Self {
        let refused = Reason::ALL.iter().map(|reason| (*reason, account.rejected_for(*reason)));
        Self {
            offered: account.arrivals,
            admitted: account.admitted,
            completed: account.completed,
            failed: account.failed,
            abandoned: account.abandoned,
            level: 0,
            open: false,
            trips: 0,
            refused: refused
                .filter(|(_, count)| *count > 0)
                .map(|(reason, count)| (reason.index() as u16, count))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use floodgate_config::Config;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(Duration::from_secs(seconds).as_nanos() as u64)
    }

    fn snapshot(tiers: &str, previous: Option<&Snapshot>) -> Snapshot {
        let text = format!("[upstreams.checkout]\nservers = [\"127.0.0.1:9000\"]\n{tiers}");
        let config: Config = floodgate_config::parse("test", &text).unwrap();
        let keys = crate::open_keys::OpenKeys::open(&config, None).unwrap();
        Snapshot::compile(config, keys, previous, 1, at(0))
    }

    fn told(past: &Past, names: &[&str]) -> serde_json::Value {
        let mut text = String::new();
        past.write(names, &mut text);
        serde_json::from_str(&text).unwrap()
    }

    const TWO: &str = "[[tiers]]\nname = \"l1\"\n[[tiers]]\nname = \"l2\"\n\
                       [[routes]]\nname = \"all\"\ntier = \"l2\"\n";

    #[test]
    fn a_second_has_what_came_in_it_and_no_more() {
        let snapshot = snapshot(TWO, None);
        let mut past = Past::default();
        let shard = snapshot.routes[0].stats.shard(0);
        shard.turn_away(Reason::Rate);
        past.record(&snapshot, at(1));
        for _ in 0..3 {
            shard.turn_away(Reason::Watermark);
        }
        past.record(&snapshot, at(2));
        past.record(&snapshot, at(3));
        let told = told(&past, &["l1", "l2"]);
        let reason = Reason::Watermark.index();
        assert_eq!(told[0][2], 1000);
        assert_eq!(told[0][5], serde_json::json!([0, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(told[0][6], serde_json::json!([3, 0, 0, 0, 0, 0, 0, 0, reason, 3]));
        assert_eq!(told[1][6][0], 0);
        assert_eq!(
            (&told[0][0], &told[1][0], told.as_array().unwrap().len()),
            (&1.into(), &2.into(), 2)
        );
    }

    #[test]
    fn a_tier_keeps_its_past_in_another_place_and_a_new_one_has_none() {
        let first = snapshot(TWO, None);
        let mut past = Past::default();
        past.record(&first, at(1));
        first.routes[0].stats.shard(0).turn_away(Reason::Rate);
        past.record(&first, at(2));
        let other = "[[tiers]]\nname = \"l2\"\n[[tiers]]\nname = \"l3\"\n[[routes]]\nname = \"all\"\ntier = \"l2\"\n";
        let second = snapshot(other, Some(&first));
        second.routes[0].stats.shard(0).turn_away(Reason::Rate);
        past.record(&second, at(3));
        let told = told(&past, &["l2", "l3"]);
        assert_eq!((&told[0][5][0], &told[0][6]), (&1.into(), &0.into()));
        assert_eq!((&told[1][5][0], &told[1][6][0]), (&1.into(), &0.into()));
    }

    #[test]
    fn only_the_last_minutes_are_kept() {
        let snapshot = snapshot(TWO, None);
        let mut past = Past::default();
        for second in 0..1_000 {
            past.record(&snapshot, at(second));
        }
        assert_eq!((past.seconds.len(), past.seconds[0].number), (SECONDS, 400));
    }
}
