//! `[customers]`, `[bots]` and `[nuisances]`: who comes.

use std::time::Duration;

use crate::{
    journey::{Clicks, ClientClass, JourneyPlan, Step},
    origin::ServiceTime,
};

use super::{
    super::{
        customers::{BotPlan, Customers, Nuisances},
        reader::{Reader, Section, meant},
    },
    Frame, HOUR, TIME,
    offer::{curve, headers, rate, request},
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
    let honour = section.number(reader, "honour", 0.0..1.0);
    let skus = match section.section(reader, "skus") {
        Some(table) => {
            let entries = skus(reader, &table, 1.0..1e6).into_iter();
            entries.map(|(sku, weight)| (sku, weight as u32)).collect()
        }
        None => vec![("hot".to_owned(), 1)],
    };
    let carry = section.texts(reader, "carry").unwrap_or_default();
    let mut customers = Customers {
        rate_per_s: rate(reader, &mut section, frame.capacity / calls),
        curve: curve(reader, &mut section, frame),
        poisson: section.flag(reader, "poisson").unwrap_or(true),
        classes,
        patience: section.parsed::<ServiceTime>(reader, "patience", TIME),
        clicks: clicks(reader, &mut section),
        max_live: section.count(reader, "max_live", 1..100_000).unwrap_or(15_000),
        skus,
        carry: carry.into_iter().map(|(name, _)| name.to_owned()).collect(),
        headers: headers(reader, &mut section),
        steps,
        fresh_share: section.number(reader, "fresh", 0.0..1.0).unwrap_or(0.0),
    };
    section.finish(reader);
    if let Some(honour) = honour {
        customers.set_honour(honour);
    }
    customers
}

/// `clicks` of some, in the mean, or `exact_clicks` of everybody.
fn clicks(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Clicks {
    let mean = section.number(reader, "clicks", 0.0..10.0);
    let exact = section.count(reader, "exact_clicks", 0..20);
    if section.has("clicks") && section.has("exact_clicks") {
        let message = "clicks are given twice";
        reader.error(section.at("exact_clicks"), message, "use `clicks` or `exact_clicks`");
    }
    exact.map_or(Clicks::Mean(mean.unwrap_or(0.0)), |clicks| Clicks::Exactly(clicks as u32))
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

/// `known` are the names of the customers' steps.
pub(super) fn bots(reader: &mut Reader<'_>, mut section: Section<'_>, known: &[&str]) -> BotPlan {
    let count = section.count(reader, "count", 1..JourneyPlan::MAX_BOTS as u32);
    let ms = Duration::from_millis;
    let bots = BotPlan {
        count: section.require(reader, "count", "200", count).unwrap_or(1),
        start: section.duration(reader, "start", HOUR).unwrap_or_default(),
        period: section
            .parsed(reader, "period", TIME)
            .unwrap_or(ServiceTime::Uniform { min: ms(50), max: ms(200) }),
        fresh_share: section.number(reader, "fresh", 0.0..1.0).unwrap_or(0.9),
        steps: bot_steps(reader, &mut section, known),
    };
    section.finish(reader);
    bots
}

/// Those that `steps` names, or all of them behind `from`.
fn bot_steps(reader: &mut Reader<'_>, section: &mut Section<'_>, known: &[&str]) -> Vec<String> {
    let (named, from) = (section.texts(reader, "steps"), section.text(reader, "from"));
    if named.is_some() && from.is_some() {
        reader.error(section.at("steps"), "the steps are given twice", "use `from` or `steps`");
    }
    let at = section.at(if named.is_some() { "steps" } else { "from" });
    let named = named.map(|named| named.into_iter().map(|(name, _)| name).collect::<Vec<_>>());
    let steps = named.unwrap_or_else(|| {
        let from = from.unwrap_or("order");
        match known.iter().position(|name| *name == from) {
            Some(place) => known[place..].to_vec(),
            None => vec![from],
        }
    });
    if steps.is_empty() {
        reader.error(at, "bots ask for nothing", "name a step");
    }
    for name in steps.iter().filter(|name| !known.contains(name)) {
        reader.error(at, format!("{name:.60?} is no step"), meant(name, known));
    }
    steps.into_iter().map(str::to_owned).collect()
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
