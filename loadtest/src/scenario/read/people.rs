//! `[customers]`, `[bots]` and `[nuisances]`: who comes.

use std::time::Duration;

use crate::{
    journey::{ClientClass, JourneyPlan, Step},
    origin::ServiceTime,
};

use super::{
    super::{
        customers::{BotPlan, Customers, Nuisances},
        reader::{Reader, Section, meant},
    },
    Frame, HOUR, TIME,
    offer::{curve, rate, request},
    skus, tier,
};

pub(super) fn customers(
    reader: &mut Reader<'_>,
    mut section: Section<'_>,
    frame: &Frame<'_>,
) -> Customers {
    let steps: Vec<_> = section.sections(reader, "steps").into_iter().collect();
    let steps = match steps.is_empty() {
        true => default_steps(),
        false => steps.into_iter().map(|s| step(reader, s, frame)).collect(),
    };
    if steps.len() > JourneyPlan::MAX_STEPS {
        let most = JourneyPlan::MAX_STEPS;
        reader.error(section.at("steps"), "too many steps", format!("use at most {most}"));
    }
    let calls: f64 = steps.iter().map(|step| f64::from(step.repeat)).sum();
    let mut classes = ClientClass::SHARES;
    if let Some(shares) = section.section(reader, "classes") {
        let at = section.at("classes");
        classes = [0.0; 4];
        let names = ClientClass::ALL.map(ClientClass::name);
        for (name, share) in shares.entries(reader, 0.0..1.0) {
            match names.iter().position(|known| *known == name) {
                Some(index) => classes[index] = share,
                None => {
                    let message = format!("`{name}` is no class of clients");
                    reader.error(at, message, meant(&name, &names));
                }
            }
        }
        if classes.iter().sum::<f64>() < 0.01 {
            reader.error(at, "no class has a share", "give shares that add up to 1");
        }
    }
    if let Some(honour) = section.number(reader, "honour", 0.0..1.0) {
        classes = with_honour(classes, honour);
    }
    let skus = match section.section(reader, "skus") {
        Some(table) => {
            let entries = skus(reader, &table, 1.0..1e6).into_iter();
            entries.map(|(sku, weight)| (sku, weight as u32)).collect()
        }
        None => vec![("hot".to_owned(), 1)],
    };
    let carry = section.texts(reader, "carry").unwrap_or_default();
    let customers = Customers {
        rate_per_s: rate(reader, &mut section, frame.capacity / calls),
        curve: curve(reader, &mut section, frame),
        poisson: section.flag(reader, "poisson").unwrap_or(true),
        classes,
        patience: section.parsed::<ServiceTime>(reader, "patience", TIME),
        clicks: section.number(reader, "clicks", 0.0..10.0).unwrap_or(0.0),
        max_live: section.count(reader, "max_live", 1..100_000).unwrap_or(15_000),
        skus,
        carry: carry.into_iter().map(|(name, _)| name.to_owned()).collect(),
        steps,
        fresh_share: section.number(reader, "fresh", 0.0..1.0).unwrap_or(0.0),
    };
    section.finish(reader);
    customers
}

/// The same classes, with `honour` of them honouring Retry-After.
fn with_honour(classes: [f64; 4], honour: f64) -> [f64; 4] {
    let mut classes = classes;
    for honours in [true, false] {
        let of_kind = |index: &usize| ClientClass::ALL[*index].honours_retry_after() == honours;
        let indices: Vec<_> = (0..classes.len()).filter(of_kind).collect();
        let sum: f64 = indices.iter().map(|index| classes[*index]).sum();
        let wanted = if honours { honour } else { 1.0 - honour };
        for index in &indices {
            classes[*index] = match sum > 0.0 {
                true => classes[*index] / sum * wanted,
                false => wanted / indices.len() as f64,
            };
        }
    }
    classes
}

fn default_steps() -> Vec<Step> {
    let step = |name: &str, request: (&str, &str), think, keyed| Step {
        name: name.to_owned(),
        method: request.0.to_owned(),
        path: request.1.to_owned(),
        tier: 0,
        think,
        abandon: 0.0,
        repeat: 1,
        body_bytes: if request.0 == "POST" { 200 } else { 0 },
        keyed,
    };
    let ms = Duration::from_millis;
    let think = |min, max| ServiceTime::Uniform { min: ms(min), max: ms(max) };
    vec![
        step("cart", ("POST", "/cart"), think(50, 250), false),
        step("checkout", ("GET", "/checkout"), think(100, 300), false),
        step("order", ("POST", "/orders"), think(100, 500), true),
        step("poll", ("GET", "/orders/{id}"), think(100, 200), false),
        step("pay", ("POST", "/pay"), think(200, 600), true),
    ]
}

fn step(reader: &mut Reader<'_>, mut section: Section<'_>, frame: &Frame<'_>) -> Step {
    let name = section.text(reader, "name");
    let name = section.require(reader, "name", "\"cart\"", name).unwrap_or_default();
    let (method, path) = request(reader, &mut section);
    let step = Step {
        name: name.to_owned(),
        tier: tier(reader, &mut section, frame.tiers),
        think: section.parsed(reader, "think", TIME).unwrap_or(ServiceTime::Fixed(Duration::ZERO)),
        abandon: section.number(reader, "abandon", 0.0..1.0).unwrap_or(0.0),
        repeat: section.count(reader, "repeat", 1..100).unwrap_or(1) as u32,
        body_bytes: section.count(reader, "body", 0..1 << 20).unwrap_or(0),
        keyed: section.flag(reader, "keyed").unwrap_or(false),
        method,
        path,
    };
    section.finish(reader);
    step
}

pub(super) fn bots(reader: &mut Reader<'_>, mut section: Section<'_>) -> BotPlan {
    let count = section.count(reader, "count", 1..JourneyPlan::MAX_BOTS as u32);
    let ms = Duration::from_millis;
    let bots = BotPlan {
        count: section.require(reader, "count", "200", count).unwrap_or(1),
        start: section.duration(reader, "start", HOUR).unwrap_or_default(),
        period: section
            .parsed(reader, "period", TIME)
            .unwrap_or(ServiceTime::Uniform { min: ms(50), max: ms(200) }),
        fresh_share: section.number(reader, "fresh", 0.0..1.0).unwrap_or(0.9),
        from: section.text(reader, "from").unwrap_or("order").to_owned(),
    };
    section.finish(reader);
    bots
}

pub(super) fn nuisances(reader: &mut Reader<'_>, mut section: Section<'_>) -> Nuisances {
    let most = 0..JourneyPlan::MAX_BOTS as u32;
    let nuisances = Nuisances {
        slow_readers: section.count(reader, "slow_readers", most.clone()).unwrap_or(0),
        unfinished_heads: section.count(reader, "unfinished_heads", most).unwrap_or(0),
    };
    section.finish(reader);
    nuisances
}
