//! The turnstile and hyper keep to one law: the same bytes come to the same answers, the same end and
//! the same requests at the upstream, whether a connection waits at the turnstile between its requests
//! or stays with hyper all the time.
//!
//! `DIFFERENTIAL_INPUTS=100000 cargo test --release -p floodgate-gateway --lib differential` tries as
//! many inputs, from seed 0 or that of `DIFFERENTIAL_FIRST`; `DIFFERENTIAL_SEED=n` only the one with this seed.

mod framing;
mod input;
mod message;
mod mutate;
pub(crate) mod random;
mod side;
mod upstream;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use framing::{Plan, Rest};
use input::Input;
use side::{End, Seen, Side};
use upstream::Upstream;

/// How many inputs are tried unless told otherwise.
const INPUTS: u64 = 3_000;
/// In less time nothing can have been late, since the gateway waits longer for a body before it goes on
/// without; what takes longer is not late but stuck.
const LATE: Range<Duration> = Duration::from_millis(80)..Duration::from_secs(4);
/// How often an input is played that took so long.
const TRIES: u32 = 5;
/// How long it is tried to make an input smaller that shows a difference.
const SHRINKING: Duration = Duration::from_secs(20);

/// Nothing ends by time, and nothing that one input does is seen by another: no circuit opens on the failures of those before.
const CONFIG: &str = r#"
[server]
workers = 1
header_timeout = "1m"
idle_timeout = "1m"
body_timeout = "1m"
max_head = "8KiB"
max_headers = 40
[upstreams.open]
servers = ["UPSTREAM"]
max_in_flight = 64
idle_timeout = "5m"
circuit = false
[upstreams.shut]
servers = ["UPSTREAM"]
max_in_flight = 0
[upstreams.nobody]
servers = ["NOBODY"]
circuit = false
[latch]
ttl = "1h"
[[journeys]]
name = "sale"
identity = "header:x-user-id"
steps = ["enter", "cart"]
keys = "file:KEYS"
max_grants = 1
ttl = "1h"
[[tiers]]
name = "l1"
max_wait = "20s"
deadline = "1m"
watermarks = { high = 1.0, low = 0.9 }
[[routes]]
name = "open"
path = "/open/{*rest}"
upstream = "open"
[[routes]]
name = "closed"
path = "/closed/{*rest}"
upstream = "open"
rate = "0/s"
[[routes]]
name = "shut"
path = "/shut/{*rest}"
upstream = "shut"
[[routes]]
name = "small"
path = "/small/{*rest}"
upstream = "open"
max_body = 10
[[routes]]
name = "read"
path = "/read"
methods = ["GET", "HEAD"]
upstream = "open"
[[routes]]
name = "enter"
path = "/enter"
upstream = "open"
[[routes]]
name = "cart"
path = "/cart"
upstream = "open"
[[routes]]
name = "goods"
path = "/goods/{sku}"
sku = "path:sku"
upstream = "open"
[[routes]]
name = "buy"
path = "/buy"
once = true
upstream = "open"
[[routes]]
name = "limited"
path = "/limited/{what}"
upstream = "open"
limits = [
  { key = "header:x-a", rate = "0/s", missing = "pass" },
  { key = ["client_ip", "query:q", "cookie:a"], rate = "0/s", missing = "pass" },
]
isolate = { key = "path:what", share = 0.5 }
[[routes]]
name = "nobody"
path = "/nobody"
upstream = "nobody"
"#;

struct Both {
    upstream: Upstream,
    turnstile: Side,
    hyper: Side,
    /// Has a port on which nobody listens.
    _nobody: Socket,
}

// === impl Both ===

impl Both {
    fn start() -> Self {
        let upstream = Upstream::start();
        let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        nobody.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let nowhere = nobody.local_addr().unwrap().as_socket().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        std::fs::write(&keys, input::KEY).unwrap();
        let text = CONFIG
            .replace("KEYS", &keys.display().to_string())
            .replace("UPSTREAM", &upstream.addr.to_string())
            .replace("NOBODY", &nowhere.to_string());
        let (turnstile, hyper) = (Side::start(&text, false), Side::start(&text, true));
        Self { upstream, turnstile, hyper, _nobody: nobody }
    }

    /// What comes of an input here and there; `Err` if they disagree.
    fn play(&self, input: &Input) -> Result<Seen, Box<[Seen; 2]>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let begun = Instant::now();
            let played = self.play_once(input);
            // A body that is late is another body: on a machine that is busy, both have to see it again.
            if played.is_ok() || !LATE.contains(&begun.elapsed()) || tries == TRIES {
                return played;
            }
        }
    }

    fn play_once(&self, input: &Input) -> Result<Seen, Box<[Seen; 2]>> {
        let plan = Plan::of(&input.wire, self.hyper.limits());
        let here = self.turnstile.play(input, &plan, &self.upstream);
        let there = self.hyper.play(input, &plan, &self.upstream);
        let is_stuck = here.end == End::Stuck || there.end == End::Stuck;
        // A client that leaves with its last byte may not be looked at any more, and whether a body that
        // nobody wants ends its connection depends on when it comes.
        // How a head is refused that is too long depends on what has come of it.
        let certain = match plan.rest {
            Rest::BrokenAndLong => plan.heads.len(),
            _ => usize::MAX,
        };
        let [one, other] =
            [&here, &there].map(|seen| &seen.answers[..certain.min(seen.answers.len())]);
        let agree = if input.leaves || plan.expects {
            agree_as_far(one, other) && agree_as_far(&here.upstream, &there.upstream)
        } else if plan.rest == Rest::BrokenAndLong {
            one == other && here.upstream == there.upstream && here.end == there.end
        } else {
            here == there
        };
        let agree = agree && !is_stuck;
        if agree { Ok(here) } else { Err(Box::new([here, there])) }
    }

    /// As small an input as is easily found of which they still disagree.
    fn shrink(&self, input: &Input) -> Input {
        let mut smallest = input.clone();
        let mut whole = Input { cuts: Vec::new(), ..input.clone() };
        if self.play(&whole).is_err() {
            std::mem::swap(&mut smallest, &mut whole);
        }
        let begun = Instant::now();
        let mut span = smallest.wire.len() / 2;
        while span > 0 {
            let mut begin = 0;
            while begin < smallest.wire.len() && begun.elapsed() < SHRINKING {
                let mut smaller = smallest.clone();
                smaller.wire.drain(begin..(begin + span).min(smallest.wire.len()));
                match self.play(&smaller) {
                    Err(_) => smallest = smaller,
                    Ok(_) => begin += span,
                }
            }
            span /= 2;
        }
        smallest
    }
}

/// One of them may have stopped earlier, and said so, or found the client gone within a body.
fn agree_as_far(here: &[String], there: &[String]) -> bool {
    let unsaid = |text: &String| text.replace("\n    connection: close", "");
    let until_gone = |answer: &&String| !answer.starts_with("HTTP/1.1 400");
    let (here, there) = (here.iter().take_while(until_gone), there.iter().take_while(until_gone));
    here.zip(there).all(|(here, there)| unsaid(here) == unsaid(there))
}

fn report(seed: u64, input: &Input, seen: &[Seen; 2], both: &Both) -> String {
    let mut text = format!("they disagree: DIFFERENTIAL_SEED={seed}\n\n=== sent{}", told(input));
    text += &compared(seen);
    let smaller = both.shrink(input);
    text += &format!("\n=== smaller{}", told(&smaller));
    match both.play(&smaller) {
        Ok(_) => text += "(not every time)\n",
        Err(seen) => text += &compared(&seen),
    }
    text
}

fn told(input: &Input) -> String {
    let waits = if input.waits { ", waiting for each answer" } else { "" };
    let mut text = format!("{waits}{}\n", if input.leaves { ", then left" } else { "" });
    for piece in input.pieces(&[]) {
        text += &format!("  {}\n", input.wire[piece].escape_ascii());
    }
    text
}

fn compared(seen: &[Seen; 2]) -> String {
    let mut text = String::new();
    for (side, seen) in ["turnstile", "hyper"].iter().zip(seen) {
        text += &format!("--- {side}: {:?}\n", seen.end);
        for (what, lines) in
            [("answer", &seen.answers), ("upstream", &seen.upstream), ("counted", &seen.ledger)]
        {
            lines.iter().for_each(|line| text += &format!("  {what} {line:.3000}\n"));
        }
    }
    text
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Plays these inputs and counts what came of them; fails at the first on which there is no agreement.
fn compare(both: &Both, seeds: Range<u64>) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::<String, u64>::new();
    let mut count = |kind: &str, by: usize| *kinds.entry(kind.to_owned()).or_default() += by as u64;
    for seed in seeds {
        let input = Input::generate(seed);
        match both.play(&input) {
            Ok(seen) => {
                count(&format!("{:?}", seen.end), 1);
                seen.answers.iter().for_each(|answer| count(&answer[9..12], 1));
                count("upstream", seen.upstream.len());
            }
            Err(seen) => panic!("{}", report(seed, &input, &seen, both)),
        }
    }
    println!("{kinds:?}");
    kinds
}

#[test]
fn the_turnstile_and_hyper_alone_never_disagree() {
    let seeds = match number("DIFFERENTIAL_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("DIFFERENTIAL_FIRST").unwrap_or(0);
            first..first + number("DIFFERENTIAL_INPUTS").unwrap_or(INPUTS)
        }
    };
    let is_whole_run = seeds.end - seeds.start >= INPUTS;
    let kinds = compare(&Both::start(), seeds);
    // The inputs have to be worth it.
    for kind in [
        "200", "204", "304", "400", "403", "404", "405", "410", "413", "414", "417", "431", "500",
        "501", "502", "503", "505", "Closed", "Open", "upstream",
    ] {
        assert!(!is_whole_run || kinds.contains_key(kind), "no {kind}: {kinds:?}");
    }
}

#[test]
fn nor_do_they_while_the_process_drains() {
    let both = Both::start();
    both.turnstile.drain();
    both.hyper.drain();
    let kinds = compare(&both, 0..INPUTS / 10);
    assert!(kinds.contains_key("503") && !kinds.contains_key("200"), "{kinds:?}");
}
