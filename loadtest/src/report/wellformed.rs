//! Checks of the markup that we write, for tests.

/// Elements that have no end tag in HTML.
const VOID: [&str; 3] = ["link", "meta", "br"];

/// Panics unless every tag is closed by its own, every attribute quoted, and no bare `<` or `&` is
/// in the text. Stricter than HTML: what passes here is also read as meant.
pub(crate) fn check(markup: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = markup.strip_prefix("<!doctype html>").unwrap_or(markup);
    while let Some((text, after)) = rest.split_once('<') {
        check_text(text);
        if let Some(name) = open.last().copied().filter(|name| matches!(*name, "script" | "style"))
        {
            let end = format!("</{name}>");
            let (_, after) = rest.split_once(&end).expect("raw text ends");
            open.pop();
            rest = after;
            continue;
        }
        let (tag, after) = split_tag(after);
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed in order");
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split_ascii_whitespace().next().expect("a tag has a name");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name:?}");
        check_attributes(tag[name.len()..].trim());
        if !is_empty && !VOID.contains(&name) {
            open.push(name);
        }
    }
    check_text(rest);
    assert_eq!(open, [""; 0], "everything is closed");
}

/// Panics when something would be fetched or followed from elsewhere.
pub(crate) fn check_self_contained(markup: &str) {
    let lower = markup.to_ascii_lowercase().replace("http://www.w3.org/2000/svg", "");
    for foreign in
        ["src=", "href=", "@import", "<link", "<iframe", "<object", "fetch(", "xmlhttprequest"]
    {
        assert!(!lower.contains(foreign), "{foreign}");
    }
    for url in lower.split("url(").skip(1) {
        assert!(url.starts_with('#'), "url({}", &url[..url.len().min(40)]);
    }
    for scheme in ["http://", "https://"] {
        assert!(!lower.contains(scheme), "{scheme}");
    }
}

/// Up to the `>` that is not in a quoted value.
fn split_tag(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let end = text.find(|char| {
        quoted ^= char == '"';
        char == '>' && !quoted
    });
    let end = end.expect("a tag ends");
    (&text[..end], &text[end + 1..])
}

fn check_attributes(mut text: &str) {
    while !text.is_empty() {
        let Some((name, after)) = text.split_once("=\"") else {
            assert!(
                text.split(' ').all(|word| word.bytes().all(|b| b.is_ascii_lowercase())),
                "{text:?}"
            );
            return;
        };
        let name = name.rsplit(' ').next().unwrap_or_default();
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{name:?}");
        let (value, after) = after.split_once('"').expect("a value ends");
        assert!(!value.contains('<'), "{value:?}");
        check_text(value);
        text = after.trim_start();
    }
}

fn check_text(text: &str) {
    for after in text.split('&').skip(1) {
        let (entity, _) = after.split_once(';').unwrap_or((after, ""));
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&entity), "&{entity:.20}");
    }
}

mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_found() {
        check(
            "<!doctype html><p class=\"a>b\">x &amp; y<br></p><script>if (1 < 2 && 1) {}</script>",
        );
        for broken in ["<p>", "<p></b>", "<p class=a></p>", "<p>a & b</p>", "<a><b></a></b>"] {
            assert!(std::panic::catch_unwind(|| check(broken)).is_err(), "{broken}");
        }
        for foreign in ["<img src=\"x\"/>", "https://x", "url(x.png)"] {
            assert!(
                std::panic::catch_unwind(|| check_self_contained(foreign)).is_err(),
                "{foreign}"
            );
        }
    }
}
