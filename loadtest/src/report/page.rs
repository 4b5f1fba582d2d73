//! `report.html`: one run.

use crate::record::{Record, Verdict};

use super::{
    document::{document, escape, tile},
    figure::{count, latency, number, share},
    panels::Panels,
    tables,
};

/// A record as a page that needs nothing but itself.
#[must_use]
pub fn page(record: &Record) -> String {
    let mut body = header(record);
    body.push_str(&verdicts(record));
    body.push_str(&tiles(record));
    let (panels, data) = Panels::new(record).finish();
    body.push_str(&panels);
    body.push_str(&tables::requests(record));
    body.push_str(&tables::journeys(record));
    body.push_str(&tables::reasons(record));
    body.push_str(&tables::health(record));
    body.push_str(&tables::facts(record));
    document(&format!("{}: Floodgate load test", record.meta.scenario), &body, &data)
}

fn header(record: &Record) -> String {
    let meta = &record.meta;
    let held = record.verdicts.iter().filter(|verdict| verdict.pass).count();
    let (class, word) =
        if record.passed() { ("pass", "✓ passed") } else { ("fail", "✕ failed") };
    let facts = [
        format!("against {}", meta.target),
        meta.started_at.clone(),
        format!("{} s", number(meta.duration_s)),
        format!("scale {}", number(meta.scale)),
        format!("overload {}", number(meta.overload)),
        format!("seed {}", meta.seed),
        format!("commit {}", meta.commit.as_deref().unwrap_or("not known")),
    ];
    format!(
        "<header><p class=\"over\">Floodgate load test</p><h1>{} <span class=\"pill {class}\">{word}, \
         {held} of {}</span></h1><p>{}</p><p class=\"facts\">{}</p></header>",
        escape(&meta.scenario),
        record.verdicts.len(),
        escape(&meta.about),
        escape(&facts.join(" · "))
    )
}

fn verdicts(record: &Record) -> String {
    // What failed is what one came for.
    let mut verdicts: Vec<_> = record.verdicts.iter().collect();
    verdicts.sort_by_key(|verdict| verdict.pass);
    let mistakes = record.mistakes().into_iter().map(|mistake| Verdict {
        name: "the books close".to_owned(),
        pass: false,
        detail: mistake,
    });
    let mistakes: Vec<_> = mistakes.collect();
    let rows: String = mistakes
        .iter()
        .chain(verdicts)
        .map(|verdict| {
            let (class, word) =
                if verdict.pass { ("pass", "✓ pass") } else { ("fail", "✕ FAIL") };
            format!(
                "<li><b class=\"{class}\">{word}</b><b>{}</b><span>{}</span></li>",
                escape(&verdict.name),
                escape(&verdict.detail)
            )
        })
        .collect();
    let rows = if rows.is_empty() {
        "<li><b class=\"fail\">-</b><span>This run promised nothing.</span></li>".to_owned()
    } else {
        rows
    };
    format!("<section class=\"card\"><h2>Verdicts</h2><ul class=\"verdicts\">{rows}</ul></section>")
}

/// The figures that one asks for first.
fn tiles(record: &Record) -> String {
    let mut out = String::new();
    let seconds = record.meta.duration_s.max(f64::MIN_POSITIVE);
    let counts = record.counts();
    if let Some(journeys) = &record.journeys {
        let note = journeys.optimum_per_s.map_or(String::new(), |optimum| {
            let share = share(journeys.completed_per_s, optimum);
            format!("{share} of {}/s", number(optimum))
        });
        let value = format!("{}/s", number(journeys.completed_per_s));
        out.push_str(&tile("Checkouts", &value, &note));
    }
    let per_s = |count: u64| format!("{}/s", number(count as f64 / seconds));
    let note = format!("{} requests", count(counts.offered));
    out.push_str(&tile("Offered", &per_s(counts.offered), &note));
    let in_time = record.in_time();
    let note = format!("{} of the offered", share(in_time as f64, counts.offered as f64));
    out.push_str(&tile("Goodput in time", &per_s(in_time), &note));
    let note = share(counts.refused as f64, counts.offered as f64);
    out.push_str(&tile("Refused", &per_s(counts.refused), &format!("{note} of the offered")));
    if let Some(first) = record.tiers.iter().find(|tier| tier.success.count > 0) {
        let note = format!("median {}", latency(first.success.p50_ms));
        let label = format!("{} success p99", first.tier);
        out.push_str(&tile(&label, &latency(first.success.p99_ms), &note));
    }
    let refusals = record.tiers.iter().filter(|tier| tier.refusal.count > 0);
    if let Some(most) = refusals.max_by_key(|tier| tier.refusal.count) {
        let note = format!("median {}", latency(most.refusal.p50_ms));
        let label = format!("{} refusal p99", most.tier);
        out.push_str(&tile(&label, &latency(most.refusal.p99_ms), &note));
    }
    let saturated: Vec<_> = record.saturation.saturated().map(|part| part.name()).collect();
    let (value, note) = match (record.saturation.parts.is_empty(), saturated.is_empty()) {
        (true, _) => ("not known".to_owned(), ""),
        (_, true) => ("nothing".to_owned(), "all below 90 %"),
        _ => (saturated.join(", "), "at 90 % or more"),
    };
    out.push_str(&tile("Saturated", &value, note));
    format!("<div class=\"tiles\">{out}</div>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{example, wellformed};

    #[test]
    fn a_page_is_well_formed_and_needs_nothing_from_elsewhere() {
        let page = page(&example::record());
        wellformed::check(&page);
        wellformed::check_self_contained(&page);
    }

    #[test]
    fn an_empty_record_makes_a_page() {
        let page = page(&Record::default());
        wellformed::check(&page);
        assert!(page.contains("promised nothing"));
    }

    #[test]
    fn the_page_says_what_the_record_says() {
        let record = example::record();
        let page = page(&record);
        assert_eq!(record.mistakes(), [""; 0]);
        let counts = record.counts();
        for value in [counts.offered, counts.success, counts.refused, record.in_time()] {
            assert!(page.contains(&count(value)), "{value}");
        }
        for tier in &record.tiers {
            for (reason, value) in &tier.refused_by_reason {
                assert!(page.contains(reason.as_str()) && page.contains(&count(*value)));
            }
        }
    }

    #[test]
    fn the_series_of_the_charts_sum_up_to_the_record() {
        let record = example::record();
        let (_, data) = Panels::new(&record).finish();
        let sum = |chart: &str, name: &str| -> f64 {
            let series = data["charts"][chart].as_array().unwrap();
            let one = series.iter().find(|one| one[0] == name).unwrap();
            one[3].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).sum()
        };
        let counts = record.counts();
        assert_eq!(sum("rate", "success"), counts.success as f64);
        assert_eq!(sum("rate", "refused"), counts.refused as f64);
        assert_eq!(sum("rate", "offered"), counts.offered as f64);
        let of = |tier: &crate::record::TierRecord| {
            tier.refused_by_reason.get("watermark").copied().unwrap_or(0)
        };
        let watermark: u64 = record.tiers.iter().map(of).sum();
        assert_eq!(sum("refusals", "watermark"), watermark as f64);
        let completed = record.journeys.unwrap().total.completed;
        assert_eq!(sum("checkouts", "completed"), completed as f64);
    }

    #[test]
    fn failures_come_first_and_books_that_do_not_close_are_one() {
        let mut record = example::record();
        record.tiers[0].counts.success += 1;
        let page = page(&record);
        let failed = page.find("the books close").unwrap();
        assert!(failed < page.find("0.9 of the optimum").unwrap());
    }
}
