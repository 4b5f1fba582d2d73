//! A shop with a journey, and what its customers say.

use serde_json::Value;

use crate::support::{self, Admin, Answer, Client, Running, Settings};
use crate::upstream::Upstream;

/// What every grant of the journey `sale` travels in.
pub(crate) const COOKIE: &str = "floodgate-grant-sale";
/// The same for applications.
pub(crate) const HEADER: &str = "x-floodgate-grant";
/// Whose that grant is, if nothing else says so.
pub(crate) const DEVICE: &str = "floodgate-device-sale";
/// By what somebody is known again who was refused.
pub(crate) const RETURN: &str = "floodgate-return-sale";
/// The customer says who it is.
pub(crate) const BY_NAME: &str = "identity = \"header:x-user-id\"";

/// The parts of a shop's configuration that differ between tests.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    /// Keys of `[server]`.
    pub(crate) server: String,
    /// Keys of the only upstream.
    pub(crate) upstream: String,
    /// Keys of the journey `sale`.
    pub(crate) journey: String,
    /// Keys of the route `enter`.
    pub(crate) enter: String,
    /// Keys of the route `pay`.
    pub(crate) pay: String,
    /// Tables that are added.
    pub(crate) more: String,
}

// === impl Shop ===

impl Shop {
    /// `enter`, `cart`, `pay`, with these keys of their journey; room enough for everybody.
    pub(crate) fn new(journey: &str) -> Self {
        Self {
            server: String::new(),
            upstream: "max_in_flight = 8".to_owned(),
            journey: journey.to_owned(),
            enter: String::new(),
            pay: String::new(),
            more: String::new(),
        }
    }

    pub(crate) fn upstream(self, keys: &str) -> Self {
        Self { upstream: keys.to_owned(), ..self }
    }

    pub(crate) fn pay(self, keys: &str) -> Self {
        Self { pay: keys.to_owned(), ..self }
    }

    pub(crate) fn more(self, tables: impl Into<String>) -> Self {
        Self { more: tables.into(), ..self }
    }

    /// The file.
    pub(crate) fn text(&self, upstream: &Upstream) -> String {
        let Self { server, upstream: keys, journey, enter, pay, more } = self;
        let rest = format!(
            "[[tiers]]\nname = \"l1\"\nmax_wait = \"20s\"\ndeadline = \"30s\"\n\
             watermarks = {{ high = 1.0, low = 0.9 }}\n\
             {}{}{}{}{more}\n[[routes]]\nname = \"other\"\nupstream = \"checkout\"\n",
            support::journey("sale", &["enter", "cart", "pay"], journey),
            routes(&["enter"], enter),
            routes(&["cart"], ""),
            routes(&["pay"], pay),
        );
        Settings::upstream(keys).server(server).rest(rest).text(&[upstream.addr])
    }

    pub(crate) fn start(&self, upstream: &Upstream) -> Running {
        Running::start(&self.text(upstream))
    }
}

/// Another journey with these keys, of two steps with their routes.
pub(crate) fn raffle(keys: &str) -> String {
    support::journey("raffle", &["draw", "claim"], keys) + &routes(&["draw", "claim"], "")
}

/// Routes of these names, each with these keys, to the only upstream.
pub(crate) fn routes(names: &[&str], keys: &str) -> String {
    let route = |name: &&str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}/{{*rest}}\"\n\
             upstream = \"checkout\"\n{keys}\n"
        )
    };
    names.iter().map(route).collect()
}

/// A request with these header lines.
pub(crate) fn wire(method: &str, target: &str, lines: &[String], body: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: shop\r\n");
    lines.iter().for_each(|line| text += &format!("{line}\r\n"));
    if !body.is_empty() {
        text += &format!("content-length: {}\r\n", body.len());
    }
    format!("{text}\r\n{body}")
}

/// The answer to a request on a connection of its own.
pub(crate) async fn ask(
    gateway: &Running,
    method: &str,
    target: &str,
    lines: &[String],
    body: &str,
) -> Answer {
    let mut client = gateway.client().await;
    client.send(wire(method, target, lines, body)).await;
    client.answer_to(method).await
}

/// The answer to a GET with these header lines.
pub(crate) async fn get(gateway: &Running, target: &str, lines: &[String]) -> Answer {
    ask(gateway, "GET", target, lines, "").await
}

/// A connection on which a GET with these header lines has been sent.
pub(crate) async fn asking(gateway: &Running, target: &str, lines: &[String]) -> Client {
    let mut client = gateway.client().await;
    client.send(wire("GET", target, lines, "")).await;
    client
}

/// Who says its name.
pub(crate) fn user(name: &str) -> Vec<String> {
    vec![format!("x-user-id: {name}")]
}

/// The same with one more line.
pub(crate) fn with(lines: &[String], line: impl Into<String>) -> Vec<String> {
    [lines, &[line.into()]].concat()
}

/// A customer of this name who has begun: the lines that say so, in the header.
pub(crate) async fn begun(gateway: &Running, name: &str) -> Vec<String> {
    let answer = get(gateway, "/enter", &user(name)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    with(&user(name), holding(&answer))
}

/// The line by which an application shows the grant that it was given.
pub(crate) fn holding(answer: &Answer) -> String {
    format!("{HEADER}: {}", answer.header(HEADER).expect("a grant"))
}

/// The cookies that an answer sets, by name: value and attributes.
pub(crate) fn cookies(answer: &Answer) -> Vec<(String, String, String)> {
    let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
    set.map(|(_, text)| {
        let (pair, attributes) = text.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), value.to_owned(), attributes.trim().to_owned())
    })
    .collect()
}

/// The line of a browser that got these answers, one after the other.
pub(crate) fn jar(answers: &[&Answer]) -> String {
    let set = answers.iter().flat_map(|answer| cookies(answer));
    let kept: std::collections::BTreeMap<_, _> =
        set.map(|(name, value, _)| (name, value)).collect();
    let pairs: Vec<_> = kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("cookie: {}", pairs.join("; "))
}

/// The value of a cookie that an answer sets.
pub(crate) fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let found = cookies(answer).into_iter().find(|(one, ..)| one == name);
    found.map(|(_, value, _)| value)
}

/// Occupies all of so many permits with requests that are held, and stays on their connections.
pub(crate) async fn busy(gateway: &Running, upstream: &Upstream, permits: usize) -> Vec<Client> {
    let before = upstream.count("/other/hold");
    let mut clients = Vec::new();
    for _ in 0..permits {
        clients.push(gateway.asking("/other/hold").await);
    }
    upstream.sees("/other/hold", before + permits).await;
    clients
}

/// Changes the live configuration; the answer.
pub(crate) async fn put(admin: &Admin, text: &str) -> Answer {
    let mut client = Client::connect(admin.0).await;
    client
        .send(format!(
            "PUT /api/config HTTP/1.1\r\nhost: admin\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        ))
        .await;
    client.answer().await
}

/// Changes the live configuration, which has to be a change.
pub(crate) async fn apply(gateway: &Running, text: &str) {
    let answer = put(gateway, text).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Grants that were shown and count as none, for these reasons and no other.
pub(crate) async fn invalid(gateway: &Running, whys: &[&str]) -> u64 {
    let (metrics, name) = (gateway.metrics().await, "floodgate_grants_invalid_total");
    let whys = whys.iter().map(|why| metrics.count(name, &[&format!("why=\"{why}\"")]));
    let of_these = whys.sum();
    assert_eq!(metrics.count(name, &[]), of_these, "{metrics}");
    of_these
}

/// A number in a problem's body.
pub(crate) fn retry_after_ms(answer: &Answer) -> Option<u64> {
    answer.json().get("retry_after_ms").and_then(Value::as_u64)
}
