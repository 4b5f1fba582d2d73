//! Figures as people read them: few digits, the unit beside them.

/// `12,345`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Three digits at least, none after the point from 100 on: `0.057`, `3.20`, `45.1`, `12,345`.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "-".to_owned()
    } else if size >= 99.95 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", count(size.round() as u64))
    } else if size >= 9.995 {
        format!("{value:.1}").trim_end_matches(".0").to_owned()
    } else if size >= 0.995 || value == 0.0 {
        format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
    } else if size >= 0.001 {
        format!("{value:.3}").trim_end_matches('0').to_owned()
    } else {
        format!("{value:.1e}")
    }
}

/// A latency: `85 µs`, `3.2 ms`, `1.25 s`.
pub(crate) fn latency(ms: f64) -> String {
    if !ms.is_finite() {
        "-".to_owned()
    } else if ms >= 1_000.0 {
        format!("{} s", number(ms / 1e3))
    } else if ms >= 0.9995 || ms == 0.0 {
        format!("{} ms", number(ms))
    } else {
        format!("{:.0} µs", ms * 1e3)
    }
}

/// `12.3 %`; `-` of nothing.
pub(crate) fn share(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{} %", number(part / whole * 100.0)) } else { "-".to_owned() }
}

/// `1.5 GiB`.
pub(crate) fn bytes(value: u64) -> String {
    let mut size = value as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    format!("{} {unit}", number(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.0571, "0.057"),
            (0.0004, "4.0e-4"),
            (0.5, "0.5"),
            (1.0, "1"),
            (3.204, "3.2"),
            (9.999, "10"),
            (45.12, "45.1"),
            (99.96, "100"),
            (12_345.4, "12,345"),
            (-1_234.0, "-1,234"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(count(999), "999");
    }

    #[test]
    fn units_fit_the_size() {
        assert_eq!(latency(0.085), "85 µs");
        assert_eq!(latency(0.9999), "1 ms");
        assert_eq!(latency(3.204), "3.2 ms");
        assert_eq!(latency(1250.0), "1.25 s");
        assert_eq!(share(1.0, 8.0), "12.5 %");
        assert_eq!(share(1.0, 0.0), "-");
        assert_eq!(bytes(1536 * 1024 * 1024), "1.5 GiB");
    }
}
