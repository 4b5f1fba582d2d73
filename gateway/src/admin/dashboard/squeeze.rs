//! What the sources of the page have for their readers is not sent: indentation, comments, spaces between words and signs.
//!
//! Not for any script or style there is: for those beside this file, whose texts stand in `"` or `` ` ``, whose comments begin
//! a line or, in styles, are one, and whose regular expressions stand behind a parenthesis.

/// `script` without what only readers need.
pub(super) fn script(script: &str) -> String {
    let mut out = String::with_capacity(script.len());
    // Braces that are open within each `${` that is, the innermost last.
    let mut nested: Vec<u32> = Vec::new();
    let mut text: Option<char> = None;
    let mut characters = script.chars().peekable();
    while let Some(character) = characters.next() {
        if let Some(quote) = text {
            out.push(character);
            match character {
                '\\' => out.extend(characters.next()),
                '$' if quote == '`' && characters.peek() == Some(&'{') => {
                    out.extend(characters.next());
                    nested.push(0);
                    text = None;
                }
                _ if character == quote => text = None,
                _ => {}
            }
            continue;
        }
        match (character, nested.last_mut()) {
            ('"' | '`', _) => text = Some(character),
            ('/', _) if characters.peek() == Some(&'/') => {
                while characters.next_if(|next| *next != '\n').is_some() {}
                continue;
            }
            ('/', _) if out.ends_with('(') => text = Some('/'),
            ('{', Some(depth)) => *depth += 1,
            ('}', Some(0)) => {
                nested.pop();
                text = Some('`');
            }
            ('}', Some(depth)) => *depth -= 1,
            _ => {}
        }
        if character.is_whitespace() {
            let mut lines = character == '\n';
            while let Some(next) = characters.next_if(|next| next.is_whitespace()) {
                lines |= next == '\n';
            }
            let next = characters.peek().copied().unwrap_or('\n');
            if !out.is_empty() && needs_space(out.chars().next_back().unwrap_or('\n'), next) {
                // Where a line ends a sign may be missing that a space would not stand for.
                out.push(if lines { '\n' } else { ' ' });
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// Two words, or two signs that would be one without a space.
fn needs_space(before: char, next: char) -> bool {
    let is_word = |it: char| it.is_alphanumeric() || it == '_' || it == '$' || !it.is_ascii();
    (is_word(before) && is_word(next))
        || (before == next && matches!(next, '+' | '-' | '/'))
        || (before == '?' && next == '.')
        || (before == '}' && (is_word(next) || next == '['))
}

/// `style` without what only readers need.
pub(super) fn style(style: &str) -> String {
    let lines = style.lines().map(str::trim).filter(|line| !line.starts_with("/*"));
    let mut out: String = lines.collect();
    let signs =
        [(" {", "{"), ("{ ", "{"), (" }", "}"), ("; ", ";"), (": ", ":"), (", ", ","), (";}", "}")];
    for (sign, shorter) in signs {
        out = out.replace(sign, shorter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_loses_its_looks_and_none_of_its_words() {
        for (long, short) in [
            ("const a = 1;\n\n  // why\n  return  a + b;\n", "const a=1;return a+b;"),
            ("a + +b - -c; d ? .5 : 1", "a+ +b- -c;d? .5:1"),
            ("say(\"a  =  b // c\", 'x');", "say(\"a  =  b // c\",'x');"),
            ("`a  ${ b + `c  ${ { d : 1 } } e` }  f ` + g", "`a  ${b+`c  ${{d:1}} e`}  f `+g"),
            ("it.split(/(?= )/)  / 2", "it.split(/(?= )/)/2"),
            ("\"a \\\" b\"  + c", "\"a \\\" b\"+c"),
            ("function f() { }\nconst g = 1", "function f(){}\nconst g=1"),
        ] {
            assert_eq!(script(long), short);
        }
    }

    #[test]
    fn a_style_loses_its_looks_and_none_of_its_words() {
        let long = "/* Why. */\n.a > .b, i {\n  color: red; margin: 0 calc(1px + 2px);\n}\n";
        assert_eq!(style(long), ".a > .b,i{color:red;margin:0 calc(1px + 2px)}");
    }
}
