//! The dashboard at `/`: one page that holds no data, and the stream that brings it.
//!
//! ```text
//! counters ─> past ──┐ once a second
//! status ───> moment ┴> live ─> /api/events ─> script/, one stream per watcher
//! ```

mod live;
mod moment;
mod past;
mod squeeze;

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use sha2::{Digest, Sha256};

use super::answer::Answer;

pub(crate) use live::Live;
pub(super) use live::{Events, STEP};
pub(super) use moment::Source;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    "\"use strict\";\n(() => {\n",
    include_str!("script/base.js"),
    include_str!("script/stream.js"),
    include_str!("script/paint.js"),
    include_str!("script/now.js"),
    include_str!("script/charts.js"),
    include_str!("script/service.js"),
    include_str!("script/config.js"),
    include_str!("script/keys.js"),
    "})();\n",
);

/// Where the style and the script go in the page.
const STYLE_HERE: &str = "/*style.css*/";
const SCRIPT_HERE: &str = "/*script.js*/";

/// The page with all its parts, and the policy that lets exactly these run.
static PUT_TOGETHER: LazyLock<(Bytes, HeaderValue)> = LazyLock::new(|| {
    let (style, script) = (squeeze::style(STYLE), squeeze::script(SCRIPT));
    let page: String = PAGE.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    let page = page.replacen(STYLE_HERE, &style, 1).replacen(SCRIPT_HERE, &script, 1);
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        source(&script),
        source(&style),
    );
    // Of ASCII only: a digest is Base64.
    let policy = HeaderValue::try_from(policy);
    let policy = policy.unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    (page.into(), policy)
});

/// The page. Anybody who gets here may have it.
pub(super) fn page() -> Answer {
    let (page, policy) = &*PUT_TOGETHER;
    Answer::new("text/html; charset=utf-8", page.clone())
        .header(CONTENT_SECURITY_POLICY, policy.clone())
        .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
        .header(
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        )
}

/// What stands for `text` in a policy: its digest in Base64 with padding (CSP 3, `hash-source`).
fn source(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut source = String::from("'sha256-");
    for bytes in Sha256::digest(text).chunks(3) {
        let mut group = [0; 4];
        group[1..=bytes.len()].copy_from_slice(bytes);
        let group = u32::from_be_bytes(group);
        for at in 0..4 {
            let value = (group >> (18 - 6 * at)) as usize & 63;
            source.push(if at <= bytes.len() { char::from(ALPHABET[value]) } else { '=' });
        }
    }
    source + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the page that a phone is sent at most.
    const MOST: usize = 60 * 1024;

    #[test]
    fn the_page_is_small_and_whole() {
        let (page, _) = &*PUT_TOGETHER;
        assert!(page.len() <= MOST, "{} bytes", page.len());
        let text = std::str::from_utf8(page).unwrap();
        for part in [squeeze::style(STYLE), squeeze::script(SCRIPT)] {
            assert!(part.len() > 10_000 && text.contains(&part));
        }
        for rest in [STYLE_HERE, SCRIPT_HERE] {
            assert!(!text.contains(rest) && PAGE.contains(rest), "{rest}");
        }
    }

    #[test]
    fn nothing_of_it_comes_from_elsewhere() {
        for part in [PAGE, STYLE, SCRIPT] {
            for elsewhere in ["http://", "https://", "src=", "@import", "url(", "import("] {
                // The name of a format is no address that anybody goes to, and what is of this page is of this page.
                let part = part.replace("http://www.w3.org/2000/svg", "").replace("url(#", "");
                assert!(!part.contains(elsewhere), "{elsewhere}");
            }
        }
    }

    #[test]
    fn a_policy_names_a_text_as_browsers_do() {
        // printf "alert('Hello, world.');" | openssl dgst -sha256 -binary | base64: the example of CSP 3.
        let hello = "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='";
        assert_eq!(source("alert('Hello, world.');"), hello);
    }
}
