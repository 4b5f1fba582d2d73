//! From the text of a scenario file to a [`Scenario`], with all mistakes at once.

mod offer;
mod origin;
mod people;

use std::{ops::Range, path::Path, time::Duration};

use toml::de::DeTable;

use crate::{journey::JourneyPlan, load::Plan};

use super::{
    Scenario, Tier,
    customers::Nuisances,
    expect::{Bound, Expect, Measure},
    need::Need,
    reader::{Problem, Reader, Section, meant},
};

use offer::flood;
use origin::{fallback_origin, origin};
use people::{bots, customers, nuisances};

const MAX_FLOODS: usize = 8;
const MAX_TIERS: usize = 8;
const TIME: &str = "use \"500ms\", \"300ms..1500ms\", \"exp:45s\" or \"lognormal:12s,0.7\"";
const HOUR: Duration = Duration::from_secs(3600);

/// What is known when a part is read.
struct Frame<'a> {
    tiers: &'a [Tier],
    /// Calls per second that the origin serves.
    capacity: f64,
    duration: Duration,
    folder: &'a Path,
}

pub(super) fn scenario(name: &str, text: &str, folder: &Path) -> Result<Scenario, Vec<Problem>> {
    let mut reader = Reader::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(10) {
        let at = error.span().map_or(text.len(), |span| span.start);
        // After a mistake of the form the rest would be about a torn tree.
        reader.error(at, format!("not TOML: {}", error.message()), "mend this first");
    }
    if !errors.is_empty() {
        return Err(reader.problems());
    }
    let scenario = top(&mut reader, Section::top(table.get_ref()), name, folder);
    let problems = reader.problems();
    if problems.is_empty() { Ok(scenario) } else { Err(problems) }
}

fn top(reader: &mut Reader<'_>, mut top: Section<'_>, name: &str, folder: &Path) -> Scenario {
    let about = top.text(reader, "about");
    let about = top.require(reader, "about", "\"what it shows\"", about).unwrap_or_default();
    let duration = top.duration(reader, "duration", Plan::MAX_DURATION);
    let duration = top.require(reader, "duration", "\"15s\"", duration).unwrap_or_default();
    let begin = top.duration(reader, "begin", Plan::MAX_DURATION).unwrap_or_default();
    if begin > duration {
        reader.error(top.at("begin"), "`begin` is behind the end", "use less than `duration`");
    }
    let tail = top.duration(reader, "tail", Plan::MAX_TIMEOUT).unwrap_or(Duration::from_secs(5));
    let seed = top.number(reader, "seed", 0.0..9e15).unwrap_or(1.0) as u64;
    let needs = needs(reader, &mut top);
    let tiers = tiers(reader, &mut top);
    let origin = match top.section(reader, "origin") {
        Some(section) => origin(reader, section),
        None => {
            reader.error(0, "`origin` is missing", "add [origin] with rate = 450 and workers = 5");
            fallback_origin()
        }
    };
    let frame = Frame { tiers: &tiers, capacity: origin.rate_per_s, duration, folder };
    let customers = top.section(reader, "customers").map(|s| customers(reader, s, &frame));
    let steps: Vec<_> = customers.iter().flat_map(|c| &c.steps).map(|s| &*s.name).collect();
    let bots = top.section(reader, "bots").map(|s| bots(reader, s, &steps));
    let nuisances = match top.section(reader, "nuisances") {
        Some(section) => nuisances(reader, section),
        None => Nuisances::default(),
    };
    let flood_at = top.at("floods");
    let floods: Vec<_> = top.sections(reader, "floods").into_iter().collect();
    if floods.len() > MAX_FLOODS {
        reader.error(flood_at, "too many floods", format!("use at most {MAX_FLOODS}"));
    }
    let floods: Vec<_> = floods.into_iter().map(|s| flood(reader, s, &frame)).collect();
    if floods.is_empty() && customers.is_none() {
        reader.error(0, "nobody comes", "add [customers] or [[floods]]");
    }
    let has_customers = customers.is_some();
    let expects = top.sections(reader, "expect").into_iter();
    let expects: Vec<_> =
        expects.filter_map(|s| expect(reader, s, &tiers, has_customers)).collect();
    if expects.is_empty() && !top.has("expect") {
        reader.error(
            0,
            "nothing is expected",
            "add [[expect]] with measure and at_least or at_most",
        );
    }
    top.finish(reader);
    Scenario {
        name: name.to_owned(),
        about: about.to_owned(),
        needs,
        seed,
        duration,
        tail,
        begin,
        tiers,
        origin,
        customers,
        bots,
        nuisances,
        floods,
        expects,
    }
}

/// SKUs and numbers; `"cold-{1..999}" = 4` stands for 999 of them.
fn skus(reader: &mut Reader<'_>, section: &Section<'_>, within: Range<f64>) -> Vec<(String, f64)> {
    let mut skus = Vec::new();
    for (name, number, at) in section.entries_at(reader, within) {
        if skus.len() >= JourneyPlan::MAX_SKUS {
            let most = JourneyPlan::MAX_SKUS;
            reader.error(at, "too many SKUs", format!("use at most {most}"));
            break;
        }
        let Some((begin, rest)) = name.split_once('{') else {
            skus.push((name, number));
            continue;
        };
        let range = rest.split_once('}').and_then(|(range, end)| {
            let (from, to) = range.split_once("..")?;
            Some((from.parse::<u32>().ok()?, to.parse::<u32>().ok()?, end))
        });
        match range.filter(|(from, to, _)| from <= to && to - from < JourneyPlan::MAX_SKUS as u32) {
            Some((from, to, end)) => {
                skus.extend((from..=to).map(|n| (format!("{begin}{n}{end}"), number)));
            }
            None => {
                let message = format!("`{name:.60}` is no range of SKUs");
                let most = JourneyPlan::MAX_SKUS;
                reader.error(at, message, format!("write \"cold-{{1..999}}\", at most {most}"));
            }
        }
    }
    skus
}

fn needs(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Vec<Need> {
    let mut needs = Vec::new();
    for (name, at) in section.texts(reader, "needs").unwrap_or_default() {
        match Need::parse(name) {
            Some(need) => needs.push(need),
            None => {
                let known = Need::ALL.map(Need::name);
                reader.error(at, format!("nothing is called {name:.60?}"), meant(name, &known));
            }
        }
    }
    needs
}

fn tiers(reader: &mut Reader<'_>, top: &mut Section<'_>) -> Vec<Tier> {
    let at = top.at("tiers");
    let names = top.texts(reader, "tiers");
    let names = names.unwrap_or_else(|| vec![("l1", at), ("l2", at), ("l3", at)]);
    if names.is_empty() || names.len() > MAX_TIERS {
        reader.error(at, "`tiers` is of no use", format!("name 1 to {MAX_TIERS} of them"));
    }
    let mut tiers: Vec<_> =
        names.iter().map(|(name, _)| Tier { name: (*name).to_owned(), deadline: None }).collect();
    if let Some(section) = top.section(reader, "deadlines") {
        let at = top.at("deadlines");
        for (name, ms) in section.entries(reader, 0.001..600_000.0) {
            match tiers.iter_mut().find(|tier| tier.name == name) {
                Some(tier) => tier.deadline = Some(Duration::from_secs_f64(ms / 1e3)),
                None => {
                    let known: Vec<_> = names.iter().map(|(name, _)| *name).collect();
                    let message = format!("`deadlines.{name}` is of no tier");
                    reader.error(at, message, meant(&name, &known));
                }
            }
        }
    }
    tiers
}

fn tier(reader: &mut Reader<'_>, section: &mut Section<'_>, tiers: &[Tier]) -> usize {
    let names: Vec<_> = tiers.iter().map(|tier| &*tier.name).collect();
    section.word(reader, "tier", &names).unwrap_or(0)
}

fn expect(
    reader: &mut Reader<'_>,
    mut section: Section<'_>,
    tiers: &[Tier],
    has_customers: bool,
) -> Option<Expect> {
    let names = Measure::ALL.map(Measure::name);
    let measure = section.word(reader, "measure", &names);
    let measure = section.require(reader, "measure", "\"efficiency\"", measure);
    let measure = measure.map(|index| Measure::ALL[index]);
    let bound = Bound {
        at_least: section.number(reader, "at_least", -1e9..1e9),
        at_most: section.number(reader, "at_most", -1e9..1e9),
    };
    if !section.has("at_least") && !section.has("at_most") {
        let message = "the measure has no bound";
        reader.error(section.at("measure"), message, "add at_least = … or at_most = …");
    }
    let by_tier = measure.is_none_or(Measure::is_by_tier);
    if section.has("tier") && !by_tier {
        reader.error(section.at("tier"), "the measure is not by tier", "leave `tier` out");
    }
    if !has_customers && measure.is_some_and(Measure::is_of_journeys) {
        reader.error(section.at("measure"), "the measure is about customers", "add [customers]");
    }
    let expect = measure.map(|measure| Expect {
        measure,
        tier: tier(reader, &mut section, tiers),
        bound,
        from: section.duration(reader, "from", HOUR),
        until: section.duration(reader, "until", HOUR),
        needs: needs(reader, &mut section),
    });
    if expect.is_some() {
        section.finish(reader);
    }
    expect
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journey::Clicks;

    const GOOD: &str = r#"
about = "a sale"
duration = "10s"
begin = "2s"
deadlines = { l1 = 10 }

[origin]
rate = 450
workers = 5
stock = { hot = 1000 }
faults = [{ at = "5s", lasting = "3s", kind = "freeze" }]

[customers]
overload = 10
curve = { shape = "step", at = "2s", before = 0.05 }
honour = 0.3
patience = "5s"

[bots]
count = 200

[[floods]]
name = "events"
request = "POST /events"
tier = "l3"
rate = 4500

[[expect]]
measure = "efficiency"
at_least = 0.9
needs = ["grants"]
"#;

    fn problems(text: &str) -> Vec<(usize, String)> {
        let problems = Scenario::parse("x", text, Path::new("")).unwrap_err();
        problems.into_iter().map(|p| (p.line, format!("{}; {}", p.message, p.suggestion))).collect()
    }

    #[test]
    fn a_good_file_means_what_it_says() {
        let scenario = Scenario::parse("x", GOOD, Path::new("")).unwrap();
        let customers = scenario.customers.as_ref().unwrap();
        // 10 x 450 calls/s over five calls a journey.
        assert!((customers.rate_per_s - 900.0).abs() < 1e-9);
        assert!((customers.honour() - 0.3).abs() < 1e-9);
        assert_eq!(scenario.tiers[0].deadline, Some(Duration::from_millis(10)));
        assert_eq!(scenario.floods[0].tier, 2);
        assert_eq!(scenario.expects[0].needs, [Need::Grants]);
        assert_eq!(scenario.origin.service_time(), Duration::from_nanos(11_111_111));
    }

    #[test]
    fn bots_ask_for_the_steps_that_are_named_or_for_all_behind_one() {
        let with = |bots: &str| {
            let text = GOOD.replace("count = 200", &format!("count = 200\n{bots}"));
            Scenario::parse("x", &text, Path::new(""))
        };
        let steps = |bots: &str| with(bots).unwrap().bots.unwrap().steps;
        assert_eq!(steps(""), ["order", "poll", "pay"]);
        assert_eq!(steps("from = \"pay\""), ["pay"]);
        assert_eq!(steps("steps = [\"pay\", \"cart\"]"), ["pay", "cart"]);
        for (odd, remedy) in [
            ("steps = []", "name a step"),
            ("steps = [\"ordr\"]", "did you mean `order`?"),
            ("from = \"ordr\"", "did you mean `order`?"),
            ("from = \"pay\"\nsteps = [\"pay\"]", "use `from` or `steps`"),
        ] {
            let problems = with(odd).unwrap_err();
            assert!(problems.iter().any(|it| it.suggestion == remedy), "{odd}: {problems:?}");
        }
    }

    #[test]
    fn headers_are_names_and_values() {
        let with = |headers: &str| {
            let text =
                GOOD.replace("honour = 0.3", &format!("honour = 0.3\nheaders = [{headers}]"));
            Scenario::parse("x", &text, Path::new(""))
        };
        let customers = with("\"x-org: shop\", \"accept:*/*\"").unwrap().customers.unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(customers.headers, [pair("x-org", "shop"), pair("accept", "*/*")]);
        for odd in ["\"shop\"", "\": shop\"", "\"x org: shop\"", "\"x: a\\r\\nb: c\""] {
            assert!(with(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn clicks_are_a_mean_or_exact_and_not_both() {
        let with = |clicks: &str| {
            let text = GOOD.replace("honour = 0.3", clicks);
            Scenario::parse("x", &text, Path::new(""))
        };
        let clicks = |text: &str| with(text).unwrap().customers.unwrap().clicks;
        assert_eq!(clicks("clicks = 1.5"), Clicks::Mean(1.5));
        assert_eq!(clicks("exact_clicks = 4"), Clicks::Exactly(4));
        assert!(with("clicks = 1.5\nexact_clicks = 4").is_err());
    }

    #[test]
    fn a_range_stands_for_many_skus() {
        let with = |stock: &str| GOOD.replace("stock = {", &format!("stock = {{ {stock},"));
        let scenario =
            Scenario::parse("x", &with("\"cold-{8..11}-b\" = 4"), Path::new("")).unwrap();
        let names: Vec<_> = scenario.origin.stock.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..4], ["cold-8-b", "cold-9-b", "cold-10-b", "cold-11-b"]);
        assert!(scenario.origin.stock[..4].iter().all(|(_, units)| *units == 4));
        for odd in ["c{1..", "c{2..1}", "c{a..b}", "c{0..999999}", "c{-1..1}"] {
            let wrong = Scenario::parse("x", &with(&format!("\"{odd}\" = 1")), Path::new(""));
            assert!(wrong.unwrap_err()[0].to_string().contains("no range"), "{odd}");
        }
        let two = with("\"a{1..4000}\" = 1, \"b{1..4000}\" = 1, last = 1");
        assert!(Scenario::parse("x", &two, Path::new("")).is_err());
    }

    #[test]
    fn one_factor_keeps_every_ratio() {
        let scenario = Scenario::parse("x", GOOD, Path::new("")).unwrap();
        let rho = |s: &Scenario| {
            let customers = s.customers.as_ref().unwrap();
            customers.rate_per_s * customers.calls() / s.origin.rate_per_s
        };
        let sigma = |s: &Scenario| {
            s.origin.units() as f64 / (s.customers.as_ref().unwrap().rate_per_s * 8.0)
        };
        let capacity =
            |s: &Scenario| s.origin.workers as f64 / s.origin.service_time().as_secs_f64();
        for scale in [0.1, 0.5, 1.0, 3.0] {
            let scaled = scenario.scaled(scale, 1.0);
            assert!((rho(&scaled) - rho(&scenario)).abs() < 1e-9, "{scale}");
            assert!((sigma(&scaled) / sigma(&scenario) - 1.0).abs() < 1e-2, "{scale}");
            assert!(
                (capacity(&scaled) / capacity(&scenario) / scale - 1.0).abs() < 1e-6,
                "{scale}"
            );
        }
        assert!((rho(&scenario.scaled(2.0, 5.0)) / rho(&scenario) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn all_mistakes_are_listed_with_line_and_suggestion() {
        let text = GOOD
            .replace("duration = \"10s\"", "duration = 10")
            .replace("workers = 5", "workers = 0")
            .replace("kind = \"freeze\"", "kind = \"freez\"")
            .replace("overload = 10", "overlaod = 10")
            .replace("\"step\"", "\"stepp\"")
            .replace("honour = 0.3", "honour = 3")
            .replace("tier = \"l3\"", "tier = \"l4\"")
            .replace("measure = \"efficiency\"", "measure = \"eficiency\"")
            .replace("[\"grants\"]", "[\"grant\"]");
        let problems = problems(&text);
        let expected = [
            (3, "put it in quotes"),
            (9, "use a number from 1 to 16384"),
            (11, "use a status from 400 to 599, or down, freeze, reset, slow-body"),
            (13, "use either `rate` or `overload`"),
            (14, "did you mean `overload`?"),
            (15, "did you mean `step`?"),
            (16, "use a number from 0 to 1"),
            (25, "did you mean `l1`?"),
            (29, "did you mean `efficiency`?"),
        ];
        for (line, suggestion) in expected {
            let found = problems.iter().any(|(at, text)| *at == line && text.ends_with(suggestion));
            assert!(found, "{line} {suggestion}\n{problems:#?}");
        }
    }

    #[test]
    fn what_is_missing_is_said_and_torn_text_does_not_panic() {
        let empty = problems("");
        let missing = |what: &str| empty.iter().any(|(_, text)| text.contains(what));
        assert!(missing("`about`") && missing("`duration`") && missing("`origin`"), "{empty:?}");
        assert!(missing("nobody comes") && missing("nothing is expected"), "{empty:?}");
        assert_eq!(problems("about = \n[origin").first().map(|(line, _)| *line), Some(1));
        for end in 0..GOOD.len() {
            if GOOD.is_char_boundary(end) {
                drop(Scenario::parse("x", &GOOD[..end], Path::new("")));
            }
        }
    }
}
