//! `[origin]`: what serves, and what goes wrong with it.

use std::net::{Ipv4Addr, SocketAddr};

use crate::origin::{Fault, FaultKind, OriginConfig};

use super::{
    super::{
        OriginSide, Spread,
        reader::{Reader, Section},
    },
    HOUR, skus,
};

pub(super) fn origin(reader: &mut Reader<'_>, mut section: Section<'_>) -> OriginSide {
    let fallback = fallback_origin();
    let address = "use an address of this machine such as \"127.0.0.1:9000\"";
    let rate = section.number(reader, "rate", 0.1..1e6);
    let rate = section.require(reader, "rate", "450", rate);
    let workers = section.count(reader, "workers", 1..16_384);
    let workers = section.require(reader, "workers", "5", workers);
    let spread = section.word(reader, "spread", &["exponential", "fixed", "uniform"]);
    let faults = section.sections(reader, "faults");
    let faults_at = section.at("faults");
    if faults.len() > OriginConfig::MAX_FAULTS {
        reader.error(faults_at, "too many faults", "leave some out");
    }
    let origin = OriginSide {
        listen: section.parsed(reader, "listen", address).unwrap_or(fallback.listen),
        rate_per_s: rate.unwrap_or(fallback.rate_per_s),
        workers: workers.unwrap_or(fallback.workers),
        spread: match spread {
            Some(0) => Spread::Exponential,
            Some(2) => Spread::Uniform,
            _ => Spread::Fixed,
        },
        slowdown: section.number(reader, "slowdown", 0.0..10.0).unwrap_or(0.0),
        idempotent: section.flag(reader, "idempotent").unwrap_or(fallback.idempotent),
        body_bytes: section.count(reader, "body", 0..1 << 20).unwrap_or(fallback.body_bytes),
        stock: match section.section(reader, "stock") {
            Some(stock) => {
                let skus = skus(reader, &stock, 1.0..1e7).into_iter();
                skus.map(|(sku, units)| (sku, units as u64)).collect()
            }
            None => Vec::new(),
        },
        faults: faults.into_iter().filter_map(|s| fault(reader, s)).collect(),
    };
    section.finish(reader);
    origin
}

fn fault(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<Fault> {
    let at = section.duration(reader, "at", HOUR);
    let at = section.require(reader, "at", "\"5s\"", at);
    let lasting = section.duration(reader, "lasting", HOUR);
    let lasting = section.require(reader, "lasting", "\"3s\"", lasting);
    let kinds = format!("use a status from 400 to 599, or {}", FaultKind::NAMES.join(", "));
    let kind = section.parsed::<FaultKind>(reader, "kind", &kinds);
    let kind = section.require(reader, "kind", "\"freeze\"", kind);
    let share = section.number(reader, "share", 0.0..1.0).unwrap_or(1.0);
    section.finish(reader);
    Some(Fault { at: at?, lasting: lasting?, kind: kind?, share })
}

pub(super) fn fallback_origin() -> OriginSide {
    OriginSide {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9000)),
        rate_per_s: 450.0,
        workers: 5,
        spread: Spread::Fixed,
        slowdown: 0.0,
        idempotent: true,
        body_bytes: 16,
        stock: Vec::new(),
        faults: Vec::new(),
    }
}
