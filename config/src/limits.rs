//! What was typed of limits per key to what is meant.

use floodgate_limiter::Rate;

use crate::config::{Config, Isolate, Limit};
use crate::file::{FileConfig, FileIsolate, FileLimit};
use crate::key::{Key, KeyPart, TypedKey};
use crate::names::Names;
use crate::pattern::Pattern;
use crate::problem::Report;
use crate::source::{Span, quote};
use crate::validate::{name_or, narrow, span_of};
use crate::value::{List, Setting};

/// Most limits of a route.
pub(crate) const MOST: usize = 8;

/// The limits of a route with this path, whose own path in the file is `at`.
pub(crate) fn limits(
    typed: &List<FileLimit, 0, MOST>,
    path: &Pattern,
    at: &str,
    report: &mut Report<'_>,
) -> Vec<Limit> {
    let mut names = Names::new("limit");
    let mut limits = Vec::with_capacity(typed.0.len());
    for (index, typed) in typed.values().enumerate() {
        let at = format!("{at}.limits[{index}]");
        let rate = rate(typed, &at, report);
        let Some(key) = key(&typed.key, Some(path), &at, typed.span, report) else { continue };
        let name = name_or(typed.name.as_ref(), || key.to_string());
        names.declare(&name, span_of(&typed.name, typed.span), format!("{at}.name"), report);
        limits.extend(rate.map(|rate| Limit {
            name,
            key,
            rate,
            max_keys: narrow(typed.max_keys.0),
            missing: typed.missing.value,
            shadow: typed.shadow.value,
        }));
    }
    limits
}

/// What isolates keys from each other; at a route with this path, or at an upstream.
pub(crate) fn isolate(
    typed: &Option<Setting<FileIsolate>>,
    path: Option<&Pattern>,
    at: &str,
    report: &mut Report<'_>,
) -> Option<Isolate> {
    let typed = &typed.as_ref()?.value;
    let key = key(&typed.key, path, &format!("{at}.isolate"), typed.span, report)?;
    Some(Isolate { key, share: typed.share.as_ref()?.0, shadow: typed.shadow.value })
}

/// Complains of upstreams that isolate by a part of the path that no route of theirs has.
pub(crate) fn check_upstreams(file: &FileConfig, config: &Config, report: &mut Report<'_>) {
    let typed = file.upstreams.iter().flat_map(|upstreams| &upstreams.0);
    for (index, ((name, typed), upstream)) in typed.zip(&config.upstreams).enumerate() {
        let Some(isolate) = &upstream.isolate else { continue };
        let own = || config.routes.iter().filter(|route| route.upstream == index);
        if own().next().is_none() || own().any(|route| isolate.key.stands_in(&route.path)) {
            continue;
        }
        let path = |part: &KeyPart| match part {
            KeyPart::Path(name) => Some(quote(name)),
            _ => None,
        };
        let names: Vec<String> = isolate.key.parts().iter().filter_map(path).collect();
        let message = format!(
            "no route of the upstream {} has {} in its path",
            quote(&name.value),
            names.join(" and ")
        );
        let span = typed.isolate.as_ref().and_then(|it| it.span).unwrap_or(typed.span);
        let key = format!("upstreams.{}.isolate", name.value);
        report.error(key, span, message, "name a segment of a route, such as \"/sale/{sku}\"");
    }
}

fn rate(typed: &FileLimit, at: &str, report: &mut Report<'_>) -> Option<Rate> {
    let rate = typed.rate.as_ref()?;
    let burst = typed.burst.as_ref().map(|burst| narrow(burst.0));
    let told = |error| {
        let span = rate.span.unwrap_or(typed.span);
        report.error(format!("{at}.rate"), span, error, "choose another rate or burst");
    };
    rate.of_key(burst).map_err(told).ok()
}

fn key(
    typed: &Option<Setting<TypedKey>>,
    path: Option<&Pattern>,
    at: &str,
    span: Span,
    report: &mut Report<'_>,
) -> Option<Key> {
    let typed = &typed.as_ref()?.value;
    let key = typed.key();
    let missing = path.and_then(|path| typed.missing(path));
    let wrong = match key {
        Ok(key) if missing.is_none() => return Some(key),
        Ok(_) => missing,
        Err(wrong) => Some(wrong),
    };
    if let Some((part, complaint)) = wrong {
        let span = part.span.unwrap_or(span);
        report.error(format!("{at}.key"), span, complaint.message, complaint.suggestion);
    }
    None
}
