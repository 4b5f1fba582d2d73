//! Reading what the gateway writes, on both of its sides: strictly, and for comparison.

/// A head in pieces; names in lower case.
pub(super) struct Head {
    /// Request line or status line.
    pub line: String,
    pub fields: Vec<(String, String)>,
    /// Bytes it takes.
    pub len: usize,
}

// === impl Head ===

impl Head {
    /// `None` while it is incomplete.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let mut lines = bytes[..end]
            .split(|&b| b == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line).escape_ascii().to_string());
        let line = lines.next().unwrap_or_default();
        let fields = lines.map(|line| match line.split_once(':') {
            Some((name, value)) => (name.to_ascii_lowercase(), value.trim().to_owned()),
            None => (format!("not a field: {line}"), String::new()),
        });
        Some(Self { line, fields: fields.collect(), len: end + 4 })
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// Status of an answer; 0 if this is none.
    fn status(&self) -> u16 {
        let mut words = self.line.split(' ');
        let version = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
        words.next().filter(|_| version).and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}

/// Data and length of what follows a head; `None` while it is incomplete or if it is broken.
pub(super) fn body(head: &Head, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    if head.field("transfer-encoding").is_some() {
        return chunks(bytes);
    }
    let length = head.field("content-length").map_or(Ok(0), str::parse).ok()?;
    Some((bytes.get(..length)?.to_vec(), length))
}

fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let line = bytes[at..].windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        at += line + 2;
        if size == 0 {
            let trailers = bytes.get(at..)?;
            let end = if trailers.starts_with(b"\r\n") {
                2
            } else {
                4 + trailers.windows(4).position(|window| window == b"\r\n\r\n")?
            };
            return Some((data, at + end));
        }
        data.extend_from_slice(bytes.get(at..at + size)?);
        at += size + 2;
        bytes.get(at..)?;
    }
}

fn has_no_body(status: u16) -> bool {
    matches!(status, 100..200 | 204 | 304)
}

/// How many answers to requests are whole; the method of each request says whether a body follows.
pub(super) fn count(mut bytes: &[u8], heads: &[bool]) -> usize {
    let mut whole = 0;
    while let Some(head) = Head::read(bytes) {
        let status = head.status();
        bytes = &bytes[head.len..];
        let is_head = heads.get(whole).copied().unwrap_or(false);
        if !has_no_body(status) && !is_head {
            let is_framed = ["content-length", "transfer-encoding"];
            if is_framed.iter().all(|name| head.field(name).is_none()) {
                return whole; // it ends with the connection
            }
            let Some((_, length)) = body(&head, bytes) else { return whole };
            bytes = &bytes[length..];
        }
        whole += usize::from(status >= 200);
    }
    whole
}

/// Everything that was answered, without what differs from one moment to the next.
pub(super) fn answers(mut bytes: &[u8]) -> Vec<String> {
    let mut answers = Vec::new();
    while let Some(head) = Head::read(bytes) {
        let status = head.status();
        bytes = &bytes[head.len..];
        // Nothing, or the next answer, stands where the body of an answer to HEAD would.
        let is_bare = bytes.is_empty() || bytes.starts_with(b"HTTP/1.") || has_no_body(status);
        let data = if is_bare {
            Vec::new()
        } else if head.field("content-length").or(head.field("transfer-encoding")).is_none() {
            std::mem::take(&mut bytes).to_vec()
        } else if let Some((data, length)) = body(&head, bytes) {
            bytes = &bytes[length..];
            data
        } else {
            break;
        };
        answers.push(told(&head, &data));
    }
    if !bytes.is_empty() {
        answers.push(format!("no answer: {}", bytes.escape_ascii()));
    }
    without_needless_100s(answers)
}

/// Whether a client is asked to go on whose body is there already is a matter of taste; asking one
/// that is then refused by its head is not.
fn without_needless_100s(answers: Vec<String>) -> Vec<String> {
    let is_100 = |answer: &str| answer.starts_with("HTTP/1.1 100");
    let is_by_head = |answer: &str| {
        let status = answer.get(9..12).unwrap_or_default();
        answer.contains("x-floodgate-reason")
            && !["400", "408", "413", "502", "504"].contains(&status)
    };
    let mut kept: Vec<String> = Vec::new();
    for answer in answers {
        if kept.last().is_some_and(|last| is_100(last)) && !is_by_head(&answer) {
            kept.pop();
        }
        kept.push(answer);
    }
    kept.pop_if(|last| is_100(last));
    kept
}

/// An answer for comparison: fields sorted, times and waits replaced by whether they are good.
fn told(head: &Head, data: &[u8]) -> String {
    let (data, millis) = without_wait(&data.escape_ascii().to_string());
    let mut fields = head.fields.clone();
    for (name, value) in &mut fields {
        match name.as_str() {
            "set-cookie" if value.starts_with("floodgate-return-") => {
                value.truncate(value.find('=').unwrap_or(value.len()));
            }
            "date" if value.len() == 29 && value.ends_with(" GMT") => *value = "now".to_owned(),
            "retry-after" => {
                let seconds: Option<u64> = value.parse().ok();
                let is_good = seconds.is_some_and(|seconds| (1..=32).contains(&seconds))
                    && millis.is_none_or(|millis| seconds == Some(millis.div_ceil(1000)));
                if is_good {
                    *value = "soon".to_owned();
                }
            }
            _ => {}
        }
    }
    fields.sort();
    let mut text = head.line.clone();
    fields.iter().for_each(|(name, value)| text += &format!("\n    {name}: {value}"));
    let (shown, more) = data.split_at_checked(4000).unwrap_or((&data, ""));
    text += &format!("\n    {shown} ({} more)", more.len());
    text
}

/// A body of ours with its wait replaced, and the wait.
fn without_wait(body: &str) -> (String, Option<u64>) {
    const NAME: &str = "retry_after_ms\\\":";
    let Some((before, after)) = body.split_once(NAME) else { return (body.to_owned(), None) };
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    (format!("{before}{NAME}soon{}", after[end..].trim_start()), after[..end].parse().ok())
}
