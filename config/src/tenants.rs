//! What was typed of tokens and tenants to what is meant, and what is odd about it.

use std::path::Path;

use floodgate_limiter::TierId;

use crate::config::{Config, Jwt, Tenant};
use crate::file::{FileConfig, FileTenant};
use crate::journey::{Identity, KeySource};
use crate::jwt::{Algorithm, TenantSource};
use crate::key::TypedKey;
use crate::names::{Names, refer};
use crate::problem::Report;
use crate::source::{Span, quote};
use crate::validate::{narrow, rate, span_of};
use crate::value::Setting;

/// The tenant of whoever is of no other.
pub const NO_TENANT: &str = "none";

/// How tokens are verified, if `file` says so; and every claim that nobody would verify.
pub(crate) fn jwt(file: &FileConfig, report: &mut Report<'_>) -> Option<Jwt> {
    if file.jwt.is_none() {
        for (key, span, claim) in claims(file) {
            let message = format!("the claim {} is verified by nobody", quote(&claim));
            let suggestion = "add [jwt] with `keys`: whoever makes up a token would be anybody";
            report.error(key, span, message, suggestion);
        }
        for (index, route) in file.routes.values().enumerate() {
            if let Some(span) = route.require_token.span.filter(|_| route.require_token.value) {
                let message = "`require_token` without [jwt]";
                let suggestion = "add [jwt] with `keys`";
                report.error(format!("routes[{index}].require_token"), span, message, suggestion);
            }
        }
    }
    let typed = &file.jwt.as_ref()?.value;
    let mut algorithms: Vec<Algorithm> = typed.algorithms.values().copied().collect();
    algorithms.sort_unstable_by_key(|algorithm| algorithm.index());
    algorithms.dedup();
    Some(Jwt {
        keys: beside(&typed.keys.as_ref()?.value, report),
        algorithms,
        issuer: typed.issuer.as_ref().map(|issuer| issuer.0.clone()),
        audience: (typed.audience.iter())
            .flat_map(|audience| audience.values().map(|one| one.0.clone()))
            .collect(),
        leeway: typed.leeway.0,
        cache: narrow(typed.cache.0),
    })
}

/// Every claim that is asked for: the path of the key, where it stands, the name.
fn claims(file: &FileConfig) -> Vec<(String, Span, String)> {
    let mut claims = Vec::new();
    if let Some(source) = &file.server.tenant_from
        && let TenantSource::Claim(name) = &source.value
    {
        let span = source.span.unwrap_or(file.server.span);
        claims.push(("server.tenant_from".to_owned(), span, name.clone()));
    }
    for (index, journey) in file.journeys.values().enumerate() {
        if let Some(identity) = &journey.identity
            && let Identity::Claim(name) = &identity.value
        {
            let span = identity.span.unwrap_or(journey.span);
            claims.push((format!("journeys[{index}].identity"), span, name.clone()));
        }
    }
    let mut of_key = |path: String, typed: &Option<Setting<TypedKey>>, table: Span| {
        for part in typed.iter().flat_map(|typed| &typed.value.0) {
            if let Some(name) = part.value.claim() {
                let span = part.span.unwrap_or(table);
                claims.push((format!("{path}.key"), span, name.to_owned()));
            }
        }
    };
    for (index, route) in file.routes.values().enumerate() {
        for (limit, typed) in route.limits.values().enumerate() {
            of_key(format!("routes[{index}].limits[{limit}]"), &typed.key, typed.span);
        }
        if let Some(typed) = &route.isolate {
            of_key(format!("routes[{index}].isolate"), &typed.value.key, typed.value.span);
        }
    }
    for (name, upstream) in file.upstreams.iter().flat_map(|upstreams| &upstreams.0) {
        if let Some(typed) = &upstream.isolate {
            of_key(format!("upstreams.{}.isolate", name.value), &typed.value.key, typed.value.span);
        }
    }
    claims
}

/// The tenants that `file` means.
pub(crate) fn tenants(file: &FileConfig, tiers: &[String], report: &mut Report<'_>) -> Vec<Tenant> {
    let tiers: Vec<&str> = tiers.iter().map(String::as_str).collect();
    let typed = file.tenants.as_ref().map_or(&[][..], |tenants| &tenants.0);
    let source = file.server.tenant_from.as_ref();
    if let (Some((name, _)), None) = (typed.first(), source) {
        let message = "nothing says which tenant's a request is";
        let suggestion = "add `tenant_from = \"claim:tenant\"` to [server]";
        report.error("server.tenant_from", name.span.unwrap_or(file.span), message, suggestion);
    }
    if let Some(source) = source
        && matches!(source.value, TenantSource::Header(_))
        && file.server.trusted_proxies.0.is_empty()
    {
        let message = "nobody's word about its tenant counts";
        let suggestion = "name the proxies that set the header in `server.trusted_proxies`";
        let span = source.span.unwrap_or(file.server.span);
        report.error("server.tenant_from", span, message, suggestion);
    }
    let mut ids = Names::new("tenant");
    let mut tenants = Vec::new();
    for (name, typed) in typed {
        let path = format!("tenants.{}", name.value);
        let at = name.span.unwrap_or(typed.span);
        let id = typed.id.as_ref().map_or_else(|| name.value.clone(), |id| id.0.clone());
        if let Some(id) = typed.id.as_ref().filter(|_| name.value == NO_TENANT) {
            let message = format!("the tenant `{NO_TENANT}` is whoever is of no other");
            let span = id.span.unwrap_or(at);
            report.error(format!("{path}.id"), span, message, "leave `id` out");
        }
        ids.declare(&id, span_of(&typed.id, at), format!("{path}.id"), report);
        tenants.extend(tenant(&name.value, id, typed, &path, &tiers, report));
    }
    tenants
}

fn tenant(
    name: &str,
    id: String,
    typed: &FileTenant,
    path: &str,
    tiers: &[&str],
    report: &mut Report<'_>,
) -> Option<Tenant> {
    let rate = rate(&typed.rate, &typed.burst, path, report);
    let highest = match &typed.highest_tier {
        Some(tier) => refer(tier, "tier", tiers, format!("{path}.highest_tier"), report)?,
        None => 0,
    };
    let share = typed.share.as_ref().map(|share| share.0);
    Some(Tenant {
        name: name.to_owned(),
        id,
        rate,
        share: share.unwrap_or(1.0),
        buffer_share: typed.buffer_share.as_ref().map(|share| share.0).or(share).unwrap_or(1.0),
        highest_tier: TierId::new(u8::try_from(highest).ok()?)?,
        shadow: typed.shadow.value,
    })
}

/// The same keys, with a relative path joined to the folder of the file that is read.
pub(crate) fn beside(keys: &KeySource, report: &Report<'_>) -> KeySource {
    let folder = Path::new(report.source().name).parent().map(Path::to_owned);
    match keys {
        KeySource::File(path) => KeySource::File(folder.unwrap_or_default().join(path)),
        other => other.clone(),
    }
}

/// Reports what is legal and probably not what was meant.
pub(crate) fn warn(file: &FileConfig, config: &Config, report: &mut Report<'_>) {
    let is_required = config.routes.iter().any(|route| route.require_token);
    if let Some(jwt) = &file.jwt
        && claims(file).is_empty()
        && !is_required
    {
        let span = jwt.span.unwrap_or(file.span);
        let suggestion = "`require_token` of a route, `server.tenant_from`, `identity` of a journey or the key of a limit would need them";
        report.warning("jwt", span, "no token is ever verified", suggestion);
    }
    if let Some(jwt) = &config.jwt
        && jwt.audience.is_empty()
        && let Some(typed) = &file.jwt
    {
        let span = typed.span.unwrap_or(file.span);
        let message = "tokens for any audience are taken";
        let suggestion = "one that was issued for another service is good here: add `audience`";
        report.warning("jwt.audience", span, message, suggestion);
    }
    if let Some(source) = file.server.tenant_from.as_ref().filter(|_| config.tenants.is_empty()) {
        let span = source.span.unwrap_or(file.server.span);
        let message = "`tenant_from` without tenants";
        report.warning("server.tenant_from", span, message, "add [tenants.NAME]");
    }
    let typed = file.tenants.iter().flat_map(|tenants| &tenants.0);
    for ((name, typed), tenant) in typed.zip(&config.tenants) {
        let is_free = tenant.rate.is_none()
            && tenant.share >= 1.0
            && tenant.buffer_share >= 1.0
            && tenant.highest_tier.index() == 0;
        if is_free && tenant.name != NO_TENANT {
            let at = name.span.unwrap_or(typed.span);
            let message = format!("nothing is limited for the tenant `{}`", tenant.name);
            let suggestion = "`rate`, `share` or `highest_tier`; it is counted all the same";
            report.warning(format!("tenants.{}", tenant.name), at, message, suggestion);
        }
    }
}
