//! `[[floods]]`, and what they share with customers: requests, rates, curves.

use std::{path::Path, time::Duration};

use crate::load::{Curve, Plan};

use super::{
    super::{
        Flood, read_text,
        reader::{Reader, Section},
    },
    Frame, HOUR, tier,
};

pub(super) fn flood(reader: &mut Reader<'_>, mut section: Section<'_>, frame: &Frame<'_>) -> Flood {
    let name = section.text(reader, "name");
    let name = section.require(reader, "name", "\"events\"", name).unwrap_or_default();
    let (method, path) = request(reader, &mut section);
    let threads = section.count(reader, "threads", 1..16).unwrap_or(1);
    let flood = Flood {
        name: name.to_owned(),
        method,
        path,
        tier: tier(reader, &mut section, frame.tiers),
        rate_per_s: rate(reader, &mut section, frame.capacity),
        curve: curve(reader, &mut section, frame),
        poisson: section.flag(reader, "poisson").unwrap_or(true),
        headers: headers(reader, &mut section),
        body_bytes: section.count(reader, "body", 0..1 << 20).unwrap_or(0),
        timeout: section
            .duration(reader, "timeout", Plan::MAX_TIMEOUT)
            .unwrap_or(Duration::from_secs(5)),
        connections: section.count(reader, "connections", 1..16_384).unwrap_or(512).max(threads),
        fresh_share: section.number(reader, "fresh", 0.0..1.0).unwrap_or(0.0),
        threads,
    };
    section.finish(reader);
    flood
}

/// `rate` as it is, or `overload` times `unit`.
pub(super) fn rate(reader: &mut Reader<'_>, section: &mut Section<'_>, unit: f64) -> f64 {
    let rate = section.number(reader, "rate", 0.001..Plan::MAX_RATE);
    let overload = section.number(reader, "overload", 0.001..10_000.0);
    if section.has("rate") == section.has("overload") {
        let message = "the rate is given twice or not at all";
        reader.error(section.at("rate"), message, "use either `rate` or `overload`");
    }
    rate.or(overload.map(|overload| overload * unit)).unwrap_or(1.0)
}

/// `METHOD /path`.
pub(super) fn request(reader: &mut Reader<'_>, section: &mut Section<'_>) -> (String, String) {
    let text = section.text(reader, "request");
    let text = section.require(reader, "request", "\"POST /orders\"", text).unwrap_or("GET /");
    let good = |(method, path): &(&str, &str)| {
        !method.is_empty()
            && method.bytes().all(|byte| byte.is_ascii_uppercase())
            && path.starts_with('/')
            && !path.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    match text.split_once(' ').filter(good) {
        Some((method, path)) => (method.to_owned(), path.to_owned()),
        None => {
            let message = format!("`request` is {text:.60?}");
            reader.error(section.at("request"), message, "write \"METHOD /path\"");
            ("GET".to_owned(), "/".to_owned())
        }
    }
}

/// `headers`, each as `Name: value`.
pub(super) fn headers(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (text, at) in section.texts(reader, "headers").unwrap_or_default() {
        let is_token = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        match text.split_once(':').filter(|(name, _)| is_token(name)) {
            Some((name, value)) if !value.contains(char::is_control) => {
                headers.push((name.to_owned(), value.trim().to_owned()));
            }
            _ => reader.error(at, format!("{text:.60?} is no header"), "write \"name: value\""),
        }
    }
    headers
}

pub(super) fn curve(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    frame: &Frame<'_>,
) -> Curve {
    let at = section.at("curve");
    let Some(mut curve) = section.section(reader, "curve") else { return Curve::constant() };
    const SHAPES: [&str; 5] = ["constant", "file", "points", "ramp", "step"];
    let shape = curve.word(reader, "shape", &SHAPES);
    curve.require(reader, "shape", "\"step\"", shape);
    let max = Curve::MAX_MULTIPLE;
    let read = match shape {
        Some(1) => {
            let name = curve.text(reader, "file");
            curve.require(reader, "file", "\"curve.csv\"", name);
            name.map_or_else(|| Ok(Curve::constant()), |name| recorded(&frame.folder.join(name)))
        }
        Some(2) => {
            let points = curve.points(reader, "points");
            curve.require(reader, "points", "[[0, 1], [5, 20]]", points.as_ref());
            points.map_or_else(|| Ok(Curve::constant()), Curve::through)
        }
        Some(3) => {
            let from = curve.number(reader, "from", 0.0..max).unwrap_or(0.0);
            let to = curve.number(reader, "to", 0.0..max).unwrap_or(1.0);
            let lasting = curve.duration(reader, "lasting", HOUR).unwrap_or(frame.duration);
            Curve::ramp(from, to, lasting)
        }
        Some(4) => {
            let before = curve.number(reader, "before", 0.0..max).unwrap_or(0.0);
            let after = curve.number(reader, "after", 0.0..max).unwrap_or(1.0);
            let at = curve.duration(reader, "at", HOUR);
            curve.require(reader, "at", "\"2s\"", at);
            Curve::step(before, after, at.unwrap_or_default())
        }
        _ => Ok(Curve::constant()),
    };
    curve.finish(reader);
    read.unwrap_or_else(|problem| {
        reader.error(at, problem, "mend the curve");
        Curve::constant()
    })
}

fn recorded(path: &Path) -> Result<Curve, String> {
    let text = read_text(path)
        .map_err(|error| format!("the curve {} cannot be read ({error})", path.display()))?;
    Curve::from_csv(&text).map_err(|problems| {
        let list: Vec<_> =
            problems.iter().take(5).map(|(line, what)| format!("line {line}: {what}")).collect();
        format!("{}: {}", path.display(), list.join("; "))
    })
}
