//! What a client takes from an answer: when to come back, its order, what to carry on.

use std::{cell::RefCell, time::Duration};

use crate::load::{
    exchange::Sink,
    reason::{REASON_HEADER, ReasonId, Reasons},
};

/// Longest value that is kept; longer ones are not sent back.
const MAX_VALUE_BYTES: usize = 2048;
/// Most cookies and carried headers of one client.
const MAX_KEPT: usize = 16;
/// Bytes of a body that are looked at.
const MAX_BODY_BYTES: usize = 256;
/// Longest Retry-After that is believed.
const MAX_RETRY_AFTER: u64 = 3_600;

/// What a client sends back with its next request: cookies, or headers if it is told which.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// `name=value`.
    cookies: Vec<String>,
    /// Name and value of headers.
    headers: Vec<(String, String)>,
}

/// What one answer said.
#[derive(Debug)]
pub(super) struct Heard<'a> {
    body: Vec<u8>,
    carry: &'a [String],
    kept: &'a mut Kept,
    /// The last segment of `location`.
    pub(super) order: Option<String>,
    pub(super) reason: ReasonId,
    reasons: &'a RefCell<Reasons>,
    pub(super) retry_after: Option<Duration>,
}

// === impl Kept ===

impl Kept {
    /// Appends the lines of a head.
    pub(super) fn write(&self, head: &mut String) {
        for (index, cookie) in self.cookies.iter().enumerate() {
            head.push_str(if index == 0 { "cookie: " } else { "; " });
            head.push_str(cookie);
        }
        if !self.cookies.is_empty() {
            head.push_str("\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
    }

    fn cookie(&mut self, value: &str) {
        let pair = value.split(';').next().unwrap_or_default().trim();
        let name = pair.split_once('=').map(|(name, _)| name);
        let same = |cookie: &String| cookie.split_once('=').map(|(name, _)| name) == name;
        match self.cookies.iter().position(same) {
            _ if name.is_none() => {}
            Some(index) => self.cookies[index] = pair.to_owned(),
            None if self.cookies.len() < MAX_KEPT => self.cookies.push(pair.to_owned()),
            None => {}
        }
    }

    fn header(&mut self, name: &str, value: &str) {
        match self.headers.iter().position(|(known, _)| known == name) {
            Some(index) => value.clone_into(&mut self.headers[index].1),
            None if self.headers.len() < MAX_KEPT => {
                self.headers.push((name.to_owned(), value.to_owned()));
            }
            None => {}
        }
    }
}

// === impl Heard ===

impl<'a> Heard<'a> {
    pub(super) fn new(
        carry: &'a [String],
        kept: &'a mut Kept,
        reasons: &'a RefCell<Reasons>,
    ) -> Self {
        Self {
            body: Vec::new(),
            carry,
            kept,
            order: None,
            reason: Reasons::NONE,
            reasons,
            retry_after: None,
        }
    }

    /// Whether this is the gateway's reason for a refusal.
    pub(super) fn is(&self, reason: &str) -> bool {
        self.reasons.borrow().name(self.reason) == reason
    }

    /// Whether the answer says that nothing is left. A gateway says so by its reason, an origin
    /// in the body of a 409 or 410.
    pub(super) fn is_sold_out(&self, status: u16) -> bool {
        let named = self.is("sold_out");
        let told = || self.body.windows(8).any(|part| part == b"sold_out");
        named || (matches!(status, 409 | 410) && told())
    }
}

impl Sink for Heard<'_> {
    fn header(&mut self, name: &str, value: &[u8]) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is(REASON_HEADER) {
            self.reason = self.reasons.borrow_mut().intern(value);
            return;
        }
        let Ok(value) = std::str::from_utf8(value).map(str::trim) else { return };
        if value.len() > MAX_VALUE_BYTES {
            return;
        }
        if is("retry-after") {
            let seconds = value.parse::<u64>().ok();
            self.retry_after = seconds.map(|s| Duration::from_secs(s.min(MAX_RETRY_AFTER)));
        } else if is("location") {
            let id = value.rsplit('/').next().unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            let usable = (1..=64).contains(&id.len()) && id.chars().all(plain);
            self.order = usable.then(|| id.to_owned());
        } else if is("set-cookie") && self.carry.is_empty() {
            self.kept.cookie(value);
        } else if let Some(name) = self.carry.iter().find(|carried| is(carried)) {
            self.kept.header(name, value);
        }
    }

    fn body(&mut self, bytes: &[u8]) {
        let room = MAX_BODY_BYTES.saturating_sub(self.body.len());
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_back(carry: &[String]) -> String {
        let (reasons, mut kept) = (RefCell::new(Reasons::default()), Kept::default());
        let mut heard = Heard::new(carry, &mut kept, &reasons);
        heard.header("Set-Cookie", b"a=1; Path=/; HttpOnly");
        heard.header("set-cookie", b"b=2");
        heard.header("set-cookie", b"a=3");
        heard.header("X-Grant", b"g");
        heard.header("x-other", b"o");
        heard.header("Location", b"/orders/17");
        heard.header("retry-after", b"4");
        assert_eq!(heard.order.as_deref(), Some("17"));
        assert_eq!(heard.retry_after, Some(Duration::from_secs(4)));
        let mut head = String::new();
        kept.write(&mut head);
        head
    }

    #[test]
    fn a_client_sends_back_its_cookies_or_the_headers_it_is_told_to_carry() {
        assert_eq!(sent_back(&[]), "cookie: a=3; b=2\r\n");
        assert_eq!(sent_back(&["x-grant".to_owned()]), "x-grant: g\r\n");
    }

    #[test]
    fn what_a_client_keeps_is_bounded() {
        let (reasons, mut kept) = (RefCell::new(Reasons::default()), Kept::default());
        let mut heard = Heard::new(&[], &mut kept, &reasons);
        for n in 0..1000 {
            heard.header("set-cookie", format!("c{n}=1").as_bytes());
            heard.body(&[b'x'; 100]);
        }
        heard.header("set-cookie", &[b'x'; 100_000]);
        assert_eq!((heard.body.len(), kept.cookies.len()), (MAX_BODY_BYTES, MAX_KEPT));
    }

    #[test]
    fn sold_out_is_told_by_reason_or_by_the_body_of_a_conflict() {
        let (reasons, mut kept) = (RefCell::new(Reasons::default()), Kept::default());
        let mut heard = Heard::new(&[], &mut kept, &reasons);
        heard.body(b"{\"reason\":\"sold_out\"}");
        assert!(heard.is_sold_out(409) && !heard.is_sold_out(200));
        heard.header(REASON_HEADER, b"sold_out");
        assert!(heard.is_sold_out(200));
    }
}
