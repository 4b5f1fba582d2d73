//! Looks at the gateway's admin listener once a second, while a run lasts.
//!
//! `/metrics` has the figures, `/api/status` adds the size of the buffer and the circuits. What is
//! judged is judged from outside; this only explains it.

mod fetch;
mod text;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::record::{GatewaySecond, Ledger, MAX_SECONDS, Record};

const INTERVAL: Duration = Duration::from_secs(1);
/// How long after the end of a second its look is waited for.
const LOOK_TIME: Duration = Duration::from_millis(200);

/// A thread that looks at the gateway.
#[derive(Debug)]
pub struct Scraper {
    seen: Arc<Seen>,
    start: Instant,
    /// Nothing is ever sent; that it is gone says: end.
    stop: SyncSender<()>,
    thread: JoinHandle<Ledger>,
}

/// What was seen so far, at most [`MAX_SECONDS`]: written by the thread, read meanwhile.
#[derive(Debug, Default)]
struct Seen {
    changed: Condvar,
    seconds: Mutex<Vec<Option<GatewaySecond>>>,
}

/// What it saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scraped {
    /// By second of the run; `None` where the gateway did not answer.
    pub seconds: Vec<Option<GatewaySecond>>,
    /// What was counted from start to end.
    pub ledger: Ledger,
}

/// Where to look, and with what right.
#[derive(Clone, Debug)]
struct Door {
    admin: SocketAddr,
    token: Option<String>,
}

// === impl Scraper ===

impl Scraper {
    /// Looks at `admin` once, to have something to compare with, then every second counted from
    /// `start`. `token` is sent as bearer token.
    ///
    /// # Errors
    /// The gateway does not answer, or the thread cannot be started.
    pub fn start(admin: SocketAddr, token: Option<String>, start: Instant) -> io::Result<Self> {
        let door = Door { admin, token };
        let before = totals(&door.page("/metrics")?);
        let (stop, stopped) = sync_channel(1);
        let seen = Arc::new(Seen::default());
        let book = Arc::clone(&seen);
        let thread = thread::Builder::new().name("scrape".to_owned()).spawn(move || {
            let (mut count, mut failed) = (0, 0);
            while count < MAX_SECONDS {
                let due = start + INTERVAL * (count as u32 + 1);
                let wait = due.saturating_duration_since(Instant::now());
                if !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
                    break;
                }
                let look = door.look();
                // One slow answer must not be followed by a burst of late looks.
                let missed = (start.elapsed().as_secs() as usize).min(MAX_SECONDS);
                let looks: Vec<_> =
                    [look].into_iter().chain((count + 1..missed).map(|_| None)).collect();
                count += looks.len();
                failed += looks.iter().filter(|look| look.is_none()).count() as u64;
                book.add(looks);
            }
            let after = door.page("/metrics").map(|page| totals(&page));
            let ledger = after.map_or_else(|_| Ledger::default(), |after| after.since(&before));
            Ledger { missed_scrapes: failed, ..ledger }
        })?;
        Ok(Self { seen, start, stop, thread })
    }

    /// What was seen at the end of a second of the run. Waits a moment for it if that second is over;
    /// `None` when it is not, or when the gateway did not answer.
    #[must_use]
    pub fn second(&self, index: u32) -> Option<GatewaySecond> {
        let over = self.start + INTERVAL * (index + 1);
        let late = over + LOOK_TIME;
        let mut seconds = self.seen.lock();
        while seconds.len() <= index as usize {
            let now = Instant::now();
            if !(over..late).contains(&now) {
                return None;
            }
            let waited = self.seen.changed.wait_timeout(seconds, late - now);
            seconds = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        seconds[index as usize].clone()
    }

    /// Looks a last time and ends.
    #[must_use]
    pub fn finish(self) -> Scraped {
        drop(self.stop);
        let ledger = self.thread.join().unwrap_or_default();
        let seconds = self.seen.lock().clone();
        Scraped { seconds, ledger }
    }
}

// === impl Seen ===

impl Seen {
    fn add(&self, looks: Vec<Option<GatewaySecond>>) {
        self.lock().extend(looks);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<GatewaySecond>>> {
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Scraped ===

impl Scraped {
    /// Puts what was seen beside what was measured.
    pub fn attach(self, record: &mut Record) {
        for row in &mut record.seconds {
            row.gateway = self.seconds.get(row.second as usize).cloned().flatten();
        }
        record.gateway = Some(self.ledger);
    }
}

// === impl Door ===

impl Door {
    fn page(&self, path: &str) -> io::Result<String> {
        fetch::get(self.admin, path, self.token.as_deref())
    }

    fn look(&self) -> Option<GatewaySecond> {
        let mut second = gauges(&self.page("/metrics").ok()?);
        if let Ok(status) = self.page("/api/status") {
            add_status(&mut second, &status);
        }
        Some(second)
    }
}

/// The gauges of a page of `/metrics`, all upstreams together.
fn gauges(page: &str) -> GatewaySecond {
    let mut second = GatewaySecond::default();
    for sample in text::samples(page) {
        let tier = || sample.label("tier").unwrap_or_default();
        let count = sample.value.max(0.0) as u64;
        match sample.name {
            "floodgate_breaker_state" => {
                *second.breaker_open.entry(tier()).or_default() |= sample.value > 0.0;
            }
            "floodgate_in_flight" => second.in_flight += count,
            "floodgate_in_flight_limit" => second.in_flight_limit += count,
            "floodgate_pressure" => second.pressure = second.pressure.max(sample.value),
            "floodgate_queue_depth" => *second.queue_depth.entry(tier()).or_default() += count,
            _ => {}
        }
    }
    second
}

/// What only `/api/status` tells. Anything that it does not tell stays as it is.
fn add_status(second: &mut GatewaySecond, status: &str) {
    let status: Value = serde_json::from_str(status).unwrap_or_default();
    for upstream in status["upstreams"].as_object().into_iter().flat_map(|all| all.values()) {
        second.buffer += upstream["buffer"].as_u64().unwrap_or(0);
        second.circuits_open += u64::from(upstream["circuit"] == "open");
    }
}

/// The counters of a page of `/metrics`, all routes together.
fn totals(page: &str) -> Ledger {
    let mut ledger = Ledger::default();
    for sample in text::samples(page) {
        let count = sample.value.max(0.0) as u64;
        let add = |map: &mut BTreeMap<String, u64>, label: &str| {
            *map.entry(sample.label(label).unwrap_or_default()).or_default() += count;
        };
        match sample.name {
            "floodgate_admitted_total" => ledger.admitted += count,
            "floodgate_arrivals_total" => ledger.arrivals += count,
            "floodgate_breaker_trips_total" => ledger.trips += count,
            "floodgate_rejections_total" => add(&mut ledger.rejections, "reason"),
            "floodgate_requests_total" => add(&mut ledger.outcomes, "outcome"),
            _ => {}
        }
    }
    ledger
}

// === impl Ledger ===

impl Ledger {
    /// What was counted after `before`. A gateway that was started anew counts from zero.
    fn since(self, before: &Self) -> Self {
        let less = |after: u64, before: u64| after.checked_sub(before).unwrap_or(after);
        let less_map = |after: BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            let rest = after.into_iter().map(|(key, count)| {
                let count = less(count, before.get(&key).copied().unwrap_or(0));
                (key, count)
            });
            rest.collect()
        };
        Self {
            arrivals: less(self.arrivals, before.arrivals),
            admitted: less(self.admitted, before.admitted),
            outcomes: less_map(self.outcomes, &before.outcomes),
            rejections: less_map(self.rejections, &before.rejections),
            trips: less(self.trips, before.trips),
            missed_scrapes: self.missed_scrapes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    /// A page that the gateway wrote amid a storm; most lines of the histograms left out.
    const PAGE: &str = include_str!("scrape/metrics.txt");

    #[test]
    fn the_gateways_text_is_read_and_its_books_close() {
        let second = gauges(PAGE);
        assert_eq!((second.in_flight, second.in_flight_limit), (64, 64));
        assert_eq!(second.pressure, 1.0);
        let depth: Vec<_> = second.queue_depth.values().copied().collect();
        assert_eq!(depth, [428, 0, 0], "l1, l2, l3");
        assert!(second.breaker_open["l3"] && second.breaker_open["l2"]);
        assert!(!second.breaker_open["l1"]);

        let ledger = totals(PAGE);
        let rejected: u64 = ledger.rejections.values().sum();
        assert_eq!(rejected, ledger.outcomes["rejected"]);
        assert_eq!(
            ledger.arrivals,
            ledger.outcomes.values().sum::<u64>()
                + second.in_flight
                + second.queue_depth.values().sum::<u64>()
        );
        assert_eq!((ledger.admitted, ledger.trips), (2_247, 2));
    }

    #[test]
    fn what_a_gateway_tells_of_journeys_changes_no_figure() {
        let more = "# TYPE floodgate_grants_total counter\n\
                    floodgate_grants_total{journey=\"a } \\\" b\",event=\"given\"} 12\n\
                    floodgate_grants_in_progress{journey=\"sale\"} 7\n\
                    floodgate_holders_wait_seconds{journey=\"sale\"} 0.0005\n\
                    floodgate_replays_total{route=\"pay\",tier=\"l1\"} 3\n\
                    floodgate_purchases{state=\"in_flight\"} 2\nfloodgate_purchases_bytes 4096\n";
        let page = format!("{PAGE}{more}");
        assert_eq!(gauges(&page), gauges(PAGE));
        assert_eq!(totals(&page), totals(PAGE));
        assert_eq!(text::samples(more).count(), 6);
        let mut second = GatewaySecond::default();
        add_status(
            &mut second,
            r#"{"upstreams":{"a":{"buffer":10}},"journeys":{"sale":{"live":3}}}"#,
        );
        assert_eq!(second.buffer, 10);
    }

    #[test]
    fn only_what_happened_during_the_run_is_counted() {
        let before = totals("floodgate_rejections_total{reason=\"rate\"} 5\n");
        let after = totals(
            "floodgate_rejections_total{reason=\"rate\"} 7\n\
             floodgate_rejections_total{reason=\"watermark\"} 3\n",
        );
        let rejections: Vec<_> = after.since(&before).rejections.into_values().collect();
        assert_eq!(rejections, [2, 3]);
        let restarted = totals("floodgate_rejections_total{reason=\"rate\"} 1\n").since(&before);
        assert_eq!(restarted.rejections["rate"], 1);
    }

    #[test]
    fn the_status_adds_the_buffer() {
        let mut second = GatewaySecond::default();
        add_status(&mut second, r#"{"upstreams":{"a":{"buffer":10,"circuit":"open"},"b":{}}}"#);
        assert_eq!((second.buffer, second.circuits_open), (10, 1));
        add_status(&mut second, "not json");
        assert_eq!(second.buffer, 10);
    }

    #[test]
    fn a_gateway_is_looked_at_before_and_after() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            for count in [3, 10] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1024];
                let length = stream.read(&mut asked).unwrap();
                assert!(asked[..length].starts_with(b"GET /metrics HTTP/1.1\r\n"));
                let page = format!("floodgate_arrivals_total{{route=\"a\"}} {count}\n");
                let length = page.len();
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{page}")
                    .unwrap();
            }
        });
        let far = Instant::now() + Duration::from_secs(3_000);
        let scraper = Scraper::start(admin, None, far).unwrap();
        let scraped = scraper.finish();
        assert_eq!(scraped.ledger.arrivals, 7);
        assert_eq!(scraped.seconds, []);
        server.join().unwrap();
        assert!(Scraper::start(admin, None, far).is_err(), "nobody is there any more");
    }

    #[test]
    fn a_second_is_shown_while_the_run_goes_on_and_not_before_it_is_over() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        // The page before the run, and one look: metrics and status.
        let server = thread::spawn(move || {
            for page in ["", "floodgate_queue_depth{tier=\"l1\"} 7\n", "{}"] {
                let (mut stream, _) = listener.accept().unwrap();
                let asked = stream.read(&mut [0; 1024]).unwrap();
                assert!(asked > 0);
                let length = page.len();
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{page}")
                    .unwrap();
            }
        });
        // The first second is over soon.
        let start = Instant::now().checked_sub(Duration::from_millis(900)).unwrap();
        let scraper = Scraper::start(admin, None, start).unwrap();
        assert_eq!(scraper.second(1), None, "it is not over, so nobody waits for it");
        server.join().unwrap();
        let found = loop {
            match scraper.second(0) {
                None if start.elapsed() < Duration::from_secs(5) => thread::yield_now(),
                found => break found,
            }
        };
        assert_eq!(found.unwrap().queue_depth["l1"], 7);
    }
}
