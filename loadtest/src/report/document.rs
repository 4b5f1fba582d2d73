//! The frame of a page, and the pieces that all pages share.

use serde_json::Value;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Textures, so that areas are told apart without colour.
const TEXTURES: &str = "<defs>\
<pattern id=\"texture-1\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
patternTransform=\"rotate(45)\"><path class=\"texture\" d=\"M0 0V6\"/></pattern>\
<pattern id=\"texture-2\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">\
<circle class=\"texture dots\" cx=\"2.5\" cy=\"2.5\" r=\"1\"/></pattern>\
<pattern id=\"texture-3\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
patternTransform=\"rotate(-45)\"><path class=\"texture\" d=\"M0 0V6M3 0V6\"/></pattern></defs>";

/// A whole page. `data` is what the pointer asks for, see `page.js`.
pub(crate) fn document(title: &str, body: &str, data: &Value) -> String {
    // Within a script only this ends it.
    let data = data.to_string().replace('<', "\\u003c");
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\
         <title>{}</title><style>{STYLE}</style></head><body>\
         <svg class=\"defs\" width=\"0\" height=\"0\" aria-hidden=\"true\">{TEXTURES}</svg>\
         <main>{body}</main>\
         <script type=\"application/json\" id=\"data\">{data}</script>\
         <script>{SCRIPT}</script></body></html>\n",
        escape(title)
    )
}

/// A drawing as a file of its own.
pub(crate) fn standalone(svg: &str) -> String {
    let (head, rest) = svg.split_once('>').unwrap_or((svg, ""));
    format!(
        "{head}><style>{STYLE}</style>{TEXTURES}\
         <rect class=\"ground\" width=\"100%\" height=\"100%\"/>{rest}\n"
    )
}

/// A framed piece of the page; `lede` says how to read it.
pub(crate) fn card(class: &str, title: &str, lede: &str, inner: &str) -> String {
    let lede = if lede.is_empty() {
        String::new()
    } else {
        format!("<p class=\"lede\">{}</p>", escape(lede))
    };
    format!("<section class=\"card {class}\"><h2>{}</h2>{lede}{inner}</section>", escape(title))
}

/// One large figure.
pub(crate) fn tile(label: &str, value: &str, note: &str) -> String {
    format!(
        "<div class=\"tile\"><div class=\"label\">{}</div><div class=\"value\">{}</div>\
         <div class=\"note\">{}</div></div>",
        escape(label),
        escape(value),
        escape(note)
    )
}

/// Text as text, in markup and in attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '"' => out.push_str("&quot;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&#39;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Not allowed in markup in any form.
            char if char.is_control() && !matches!(char, '\n' | '\t') => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::wellformed;

    #[test]
    fn data_cannot_end_its_script() {
        let data = serde_json::json!({ "a": "</script><script>alert(1)" });
        let page = document("</title><b>", "<p>x</p>", &data);
        wellformed::check(&page);
        assert_eq!(page.matches("</script>").count(), 2);
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(escape("<a b='c'>&\"\0"), "&lt;a b=&#39;c&#39;&gt;&amp;&quot;\u{fffd}");
    }
}
