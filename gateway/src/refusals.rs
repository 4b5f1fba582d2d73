//! Refusals as ready-made bytes: what hyper would write for [`respond::refuse`], written once and
//! copied for each request, with the date and the time to come back patched in.

use std::io::Write;
use std::time::Duration;

use http::StatusCode;
use http::header::CONNECTION;

use crate::date;
use crate::reason::Reason;
use crate::respond;

/// The answers of all reasons.
#[derive(Debug)]
pub(crate) struct Refusals(Box<[ReadyMade]>);

/// What differs from one refusal to the next of the same reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal<'a> {
    /// Why.
    pub reason: Reason,
    /// When to come back, where that may help.
    pub wait: Duration,
    /// The connection ends with it.
    pub is_last: bool,
    /// The request was a HEAD, whose answer has no body.
    pub is_head: bool,
    /// More fields, each with what ends its line.
    pub fields: &'a [u8],
}

/// One answer, with places to be filled in.
#[derive(Debug)]
struct ReadyMade {
    /// Status line and fields, without what ends them.
    head: Box<[u8]>,
    date: usize,
    body: Box<[u8]>,
    /// Where the seconds stand in the head, and the milliseconds in the body.
    wait: Option<(usize, usize)>,
    /// How many digits there is room for in each; a shorter number has spaces behind it.
    widths: (usize, usize),
}

// === impl Refusals ===

impl Refusals {
    /// Those of all reasons, each with the status that `status` says.
    pub(crate) fn new(status: impl Fn(Reason) -> StatusCode) -> Self {
        Self(Reason::ALL.iter().map(|&reason| ReadyMade::new(reason, status(reason))).collect())
    }

    /// Appends one to `out`. Allocates nothing where there is room.
    pub(crate) fn write(&self, refusal: Refusal<'_>, date: &[u8; date::LEN], out: &mut Vec<u8>) {
        let made = &self.0[refusal.reason.index()];
        let begin = out.len();
        out.extend_from_slice(&made.head);
        out[begin + made.date..][..date::LEN].copy_from_slice(date);
        if let Some((seconds, _)) = made.wait {
            write_padded(
                &mut out[begin + seconds..][..made.widths.0],
                respond::whole_seconds(refusal.wait),
            );
        }
        out.extend_from_slice(refusal.fields);
        out.extend_from_slice(if refusal.is_last { b"connection: close\r\n\r\n" } else { b"\r\n" });
        if refusal.is_head {
            return;
        }
        let begin = out.len();
        out.extend_from_slice(&made.body);
        if let Some((_, millis)) = made.wait {
            write_padded(
                &mut out[begin + millis..][..made.widths.1],
                refusal.wait.as_millis() as u64,
            );
        }
    }
}

// === impl ReadyMade ===

impl ReadyMade {
    fn new(reason: Reason, status: StatusCode) -> Self {
        // As many digits as there is room for; they are written over.
        let widths = respond::wait_widths(reason);
        let longest = Duration::from_secs(10_u64.pow(widths.0 as u32 - 1));
        let wait = reason.is_retryable().then_some(longest);
        let response = respond::refuse(reason, status, wait);
        let body = respond::problem(reason, status, wait).into_bytes();
        let mut head = Vec::new();
        // Writing to a vector does not fail.
        let _written = write!(
            head,
            "HTTP/1.1 {} {}\r\n",
            status.as_str(),
            status.canonical_reason().unwrap_or_default()
        );
        for (name, value) in response.headers().iter().filter(|(name, _)| *name != CONNECTION) {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        let _written = write!(head, "content-length: {}\r\ndate: ", body.len());
        let date = head.len();
        head.extend_from_slice(&[b' '; date::LEN]);
        head.extend_from_slice(b"\r\n");
        let seconds = after(&head, b"retry-after: ");
        let millis = after(&body, b"\"retry_after_ms\":");
        let wait = seconds.zip(millis);
        Self { head: head.into(), date, body: body.into(), wait, widths }
    }
}

/// Where what follows `mark` begins.
fn after(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark).map(|at| at + mark.len())
}

/// Writes `number`, or the largest that fits, into `field`, and spaces behind it.
fn write_padded(field: &mut [u8], number: u64) {
    let largest = 10u64.pow(field.len() as u32) - 1;
    let number = number.min(largest);
    let digits = number.max(1).ilog10() as usize + 1;
    let mut left = number;
    for at in field[..digits].iter_mut().rev() {
        *at = b'0' + (left % 10) as u8;
        left /= 10;
    }
    field[digits..].fill(b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: [u8; date::LEN] = *b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn written(refusal: Refusal<'_>) -> String {
        let mut out = b"before".to_vec();
        Refusals::new(Reason::status).write(refusal, &DATE, &mut out);
        String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn ready_made_refusals_say_what_the_others_say() {
        for &reason in Reason::ALL {
            for millis in [1_000, 1_500, 9_999, 10_001, 32_000] {
                let wait = Duration::from_millis(millis);
                let is_last = reason.closes();
                let text = written(Refusal { reason, wait, is_last, is_head: false, fields: b"" });
                let wait = reason.is_retryable().then_some(wait);
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                let response = respond::refuse(reason, reason.status(), wait);
                assert!(head.starts_with(&format!("HTTP/1.1 {}", response.status())), "{head}");
                let mut fields = 0;
                for line in head.lines().skip(1) {
                    let (name, value) = line.split_once(':').unwrap();
                    match name {
                        "date" => assert_eq!(value.trim().as_bytes(), DATE),
                        "content-length" => assert_eq!(value.trim(), body.len().to_string()),
                        _ => {
                            assert_eq!(value.trim(), response.headers()[name], "{reason:?} {name}");
                            fields += 1;
                        }
                    }
                }
                assert_eq!(fields, response.headers().len(), "{reason:?}");
                assert_eq!(body, respond::problem(reason, reason.status(), wait));
            }
        }
    }

    #[test]
    fn to_head_the_same_head_without_the_body() {
        let refusal = Refusal {
            reason: Reason::Watermark,
            wait: Duration::from_secs(2),
            is_last: true,
            is_head: false,
            fields: b"x-more: 1\r\n",
        };
        let (whole, head) = (written(refusal), written(Refusal { is_head: true, ..refusal }));
        assert!(whole.len() > head.len() && whole.starts_with(&head) && head.ends_with("\r\n\r\n"));
        assert!(head.contains("x-more: 1\r\nconnection: close\r\n"));
    }
}
