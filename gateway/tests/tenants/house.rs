//! A gateway that several share, and how they ask.

use tempfile::TempDir;

use crate::support::{Answer, Client, Issuer, Running, Settings};
use crate::upstream::Upstream;

/// Whoever issues the tokens of most tests.
pub(crate) const LOGIN: Issuer = Issuer::Secret("a secret that is long enough to be one, they say");

/// The parts of a configuration that differ between tests, and its key file.
pub(crate) struct House {
    /// Keys of `[server]`.
    pub(crate) server: String,
    /// Keys of the only upstream.
    pub(crate) upstream: String,
    /// Keys of `[jwt]`.
    pub(crate) jwt: String,
    /// More tables.
    pub(crate) more: String,
    keys: TempDir,
}

// === impl House ===

impl House {
    /// Tenants by these tables and the claim `org`; the key of [`LOGIN`]; l1 to l3.
    pub(crate) fn new(tenants: &str) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let from = if tenants.is_empty() { "" } else { "tenant_from = \"claim:org\"" };
        let house = Self {
            server: from.to_owned(),
            upstream: "max_in_flight = 8".to_owned(),
            jwt: String::new(),
            more: tenants.to_owned(),
            keys,
        };
        house.put_keys(&LOGIN.file());
        house
    }

    pub(crate) fn upstream(self, keys: &str) -> Self {
        Self { upstream: keys.to_owned(), ..self }
    }

    pub(crate) fn server(self, keys: &str) -> Self {
        Self { server: keys.to_owned(), ..self }
    }

    pub(crate) fn jwt(self, keys: &str) -> Self {
        Self { jwt: keys.to_owned(), ..self }
    }

    pub(crate) fn more(self, tables: &str) -> Self {
        Self { more: self.more + tables, ..self }
    }

    /// Other keys in the file.
    pub(crate) fn put_keys(&self, text: &str) {
        std::fs::write(self.keys.path().join("keys"), text).unwrap();
    }

    pub(crate) fn text(&self, upstream: &Upstream) -> String {
        let Self { server, upstream: keys, jwt, more, keys: folder } = self;
        let file = folder.path().join("keys");
        let settings = Settings::upstream(keys).server(server);
        let rest = format!(
            "{}\n[jwt]\nkeys = \"file:{}\"\n{jwt}\n{more}\n",
            settings.rest,
            file.display()
        );
        settings.rest(rest).text(&[upstream.addr])
    }

    pub(crate) fn start(&self, upstream: &Upstream) -> Running {
        Running::start(&self.text(upstream))
    }
}

/// The field that shows a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// The field that shows a good token of a member of `org`.
pub(crate) fn member(org: &str) -> String {
    bearer(&LOGIN.token(&format!("\"sub\":\"anna\",\"org\":\"{org}\"")))
}

/// Asks with these fields, on a connection of its own.
pub(crate) async fn asking(gateway: &Running, target: &str, fields: &str) -> Client {
    let mut client = gateway.client().await;
    client.send(format!("GET {target} HTTP/1.1\r\nhost: shop\r\n{fields}\r\n")).await;
    client
}

/// The answer to a request with these fields.
pub(crate) async fn get(gateway: &Running, target: &str, fields: &str) -> Answer {
    asking(gateway, target, fields).await.answer().await
}

/// The same where the turnstile leaves it to those behind it.
pub(crate) async fn post(gateway: &Running, target: &str, fields: &str) -> Answer {
    let mut client = gateway.client().await;
    client
        .send(format!(
            "POST {target} HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n{fields}\r\n0\r\n\r\n"
        ))
        .await;
    client.answer_to("POST").await
}

/// Puts a configuration in the place of the live one.
pub(crate) async fn apply(gateway: &Running, text: &str) {
    let mut client = Client::connect(gateway.0).await;
    let head = format!(
        "PUT /api/config HTTP/1.1\r\nhost: admin\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    client.send(head + text).await;
    let answer = client.answer_to("PUT").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A number in a problem's body.
pub(crate) fn retry_after_ms(answer: &Answer) -> u64 {
    answer.json()["retry_after_ms"].as_u64().unwrap()
}
