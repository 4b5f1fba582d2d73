//! JSON (RFC 8259) as tokens have it, read strictly.
//!
//! What two readers could read in two ways says nothing: an object with a name that comes twice, however it
//! is escaped, counts as none, and so does what is not JSON from its first to its last byte.

/// How deep values may be nested in each other.
const MAX_DEPTH: u32 = 32;
/// Members that an object may have: names are compared with each other.
const MAX_MEMBERS: usize = 64;

/// The members of one object: their names, and their values as they are written.
#[derive(Debug)]
pub(super) struct Object<'a>(Vec<(Vec<u8>, &'a [u8])>);

/// A place in JSON (RFC 8259); what it returns is `None` where that ends.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

// === impl Object ===

impl<'a> Object<'a> {
    /// The object that `text` is. `None` if it is not one, or one that may be read in two ways.
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
        let mut members: Vec<(Vec<u8>, &[u8])> = Vec::new();
        scan.skip_space();
        scan.expect(b'{')?;
        scan.skip_space();
        if !scan.takes(b'}') {
            loop {
                scan.skip_space();
                let mut name = Vec::new();
                scan.string(&mut |byte| name.push(byte))?;
                scan.skip_space();
                scan.expect(b':')?;
                scan.skip_space();
                let begin = scan.at;
                scan.value(MAX_DEPTH)?;
                if members.len() == MAX_MEMBERS || members.iter().any(|(other, _)| *other == name) {
                    return None;
                }
                members.push((name, &scan.bytes[begin..scan.at]));
                scan.skip_space();
                if !scan.takes(b',') {
                    break;
                }
            }
            scan.expect(b'}')?;
        }
        scan.skip_space();
        (scan.at == scan.bytes.len()).then_some(Self(members))
    }

    /// The value of this name as it is written.
    fn get(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.0.iter().find(|(other, _)| other == name.as_bytes());
        found.map(|(_, value)| *value)
    }

    /// Whether there is a member of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The string of this name.
    pub(super) fn string(&self, name: &str) -> Option<Vec<u8>> {
        string(self.get(name)?)
    }

    /// The string of this name, or the number as it is written.
    pub(super) fn text(&self, name: &str) -> Option<Vec<u8>> {
        match self.get(name)? {
            number @ [b'-' | b'0'..=b'9', ..] => Some(number.to_vec()),
            value => string(value),
        }
    }

    /// The number of this name.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        let number = self.get(name).filter(|value| !matches!(value, [b'"' | b'[' | b'{', ..]))?;
        let number: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// Whether one of the strings of this name, a string or a list of them, is as `is_wanted` has it.
    pub(super) fn has_string(&self, name: &str, mut is_wanted: impl FnMut(&[u8]) -> bool) -> bool {
        let Some(value) = self.get(name) else { return false };
        if value.first() != Some(&b'[') {
            return string(value).is_some_and(|one| is_wanted(&one));
        }
        let mut found = false;
        let mut scan = Scan { bytes: value, at: 0 };
        let _whole = scan.members(MAX_DEPTH, b']', |scan, depth| {
            let begin = scan.at;
            scan.value(depth)?;
            let one = string(&scan.bytes[begin..scan.at]);
            found = found || one.is_some_and(|one| is_wanted(&one));
            Some(())
        });
        found
    }
}

/// What a string means; `None` if it is none.
fn string(value: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(value.len());
    Scan { bytes: value, at: 0 }.string(&mut |byte| bytes.push(byte))?;
    Some(bytes)
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
        mut member: impl FnMut(&mut Self, u32) -> Option<()>,
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
