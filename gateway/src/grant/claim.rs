//! One claim of a bearer token (RFC 7519), read and not verified: that is the application's.
//!
//! A payload that two readers could read in two ways says nothing: a name that comes twice, however it
//! is escaped, counts as absent, and so does everything in what is not JSON from its first to its last byte.

use super::base64url;
use crate::fields::Fields;

/// Longest payload, decoded.
const MAX_PAYLOAD: usize = 4096;
/// How deep values may be nested in each other.
const MAX_DEPTH: u32 = 32;

/// Bytes of a claim: at most as many as an identity may have.
pub(super) type ClaimBytes = [u8; super::identity::MAX_IDENTITY];

/// The claim of this name in the payload of the bearer token: a string, or a number as it is written.
/// How long it is, and its bytes.
pub(super) fn bearer_claim(fields: Fields<'_>, name: &str) -> Option<(usize, ClaimBytes)> {
    let credentials = fields.only("authorization")?;
    let (scheme, token) = credentials.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    let mut parts = token.trim_ascii().split(|&b| b == b'.');
    let (Some(_header), Some(payload), Some(_signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let mut decoded = [0; MAX_PAYLOAD];
    let len = base64url::decode(payload, &mut decoded)?;
    claim(std::str::from_utf8(&decoded[..len]).ok()?, name)
}

/// The member of this name of the object that `payload` is.
fn claim(payload: &str, name: &str) -> Option<(usize, ClaimBytes)> {
    let mut scan = Scan { bytes: payload.as_bytes(), at: 0 };
    let mut found = None;
    scan.skip_space();
    scan.expect(b'{')?;
    scan.skip_space();
    if !scan.takes(b'}') {
        loop {
            scan.skip_space();
            let mut same = Comparison { expected: name.as_bytes(), is_same: true };
            scan.string(&mut |byte| same.push(byte))?;
            scan.skip_space();
            scan.expect(b':')?;
            scan.skip_space();
            if same.is_same && same.expected.is_empty() {
                if found.is_some() {
                    return None;
                }
                let mut value = Value { bytes: [0; _], len: Some(0) };
                match scan.peek()? {
                    b'"' => scan.string(&mut |byte| value.push(byte))?,
                    b'-' | b'0'..=b'9' => {
                        let begin = scan.at;
                        scan.number()?;
                        scan.bytes[begin..scan.at].iter().for_each(|&byte| value.push(byte));
                    }
                    _ => {
                        scan.value(MAX_DEPTH)?;
                        value.len = None;
                    }
                }
                found = Some(value);
            } else {
                scan.value(MAX_DEPTH)?;
            }
            scan.skip_space();
            if !scan.takes(b',') {
                break;
            }
        }
        scan.expect(b'}')?;
    }
    scan.skip_space();
    let value = found.filter(|_| scan.at == scan.bytes.len())?;
    Some((value.len?, value.bytes))
}

/// Whether the bytes that come are those expected.
struct Comparison<'a> {
    expected: &'a [u8],
    is_same: bool,
}

/// The bytes of a value; without a length if they are too many, or no string and no number.
struct Value {
    bytes: ClaimBytes,
    len: Option<usize>,
}

/// A place in JSON (RFC 8259); what it returns is `None` where that ends.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

// === impl Comparison ===

impl Comparison<'_> {
    fn push(&mut self, byte: u8) {
        self.is_same &= self.expected.split_off_first() == Some(&byte);
    }
}

// === impl Value ===

impl Value {
    fn push(&mut self, byte: u8) {
        self.len = self.len.and_then(|len| {
            *self.bytes.get_mut(len)? = byte;
            Some(len + 1)
        });
    }
}

// === impl Scan ===

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.takes(byte).then_some(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Any value, nested no deeper than `depth`.
    fn value(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(&mut |_| {}),
            b'-' | b'0'..=b'9' => self.number(),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            b't' => self.literal(b"true"),
            b'[' => self.members(depth, b']', |scan, depth| scan.value(depth)),
            b'{' => self.members(depth, b'}', |scan, depth| {
                scan.string(&mut |_| {})?;
                scan.skip_space();
                scan.expect(b':')?;
                scan.skip_space();
                scan.value(depth)
            }),
            _ => None,
        }
    }

    /// What stands in brackets, between commas.
    fn members(
        &mut self,
        depth: u32,
        end: u8,
        member: impl Fn(&mut Self, u32) -> Option<()>,
    ) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.at += 1;
        self.skip_space();
        if self.takes(end) {
            return Some(());
        }
        loop {
            self.skip_space();
            member(self, depth)?;
            self.skip_space();
            if !self.takes(b',') {
                return self.expect(end);
            }
        }
    }

    fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.at += self.bytes[self.at..].starts_with(text).then_some(text.len())?;
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _sign = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        Some(())
    }

    /// One or more.
    fn digits(&mut self) -> Option<()> {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }

    /// A string, whose meaning goes to `push` byte by byte.
    fn string(&mut self, push: &mut impl FnMut(u8)) -> Option<()> {
        self.expect(b'"')?;
        loop {
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => {
                    let mut utf8 = [0; 4];
                    self.escape()?.encode_utf8(&mut utf8).bytes().for_each(&mut *push);
                }
                0..=0x1f => return None,
                byte => push(byte),
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            byte @ (b'"' | b'/' | b'\\') => char::from(byte),
            b'u' => {
                let unit = self.hex()?;
                if (0xd800..0xdc00).contains(&unit) {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    let low = self.hex()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    char::from_u32(0x10000 + ((unit - 0xd800) << 10) + low)?
                } else {
                    char::from_u32(unit)?
                }
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit << 4 | char::from(self.next()?).to_digit(16)?;
        }
        Some(unit)
    }
}

#[cfg(test)]
mod tests;
