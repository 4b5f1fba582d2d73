//! The drawings of a sweep, as a page and as a drawing alone.

use crate::report::{self, Mark, Plot, Scale, Table, card, document, escape, pairs, standalone};

use super::{COLUMNS, Point, Scene, Series, Sweep, cells};

const WIDE: (f64, f64) = (1160.0, 340.0);
const HALF: (f64, f64) = (560.0, 300.0);

/// A line of a drawing: name, look, and a value per factor.
struct Line {
    name: String,
    mark: Mark,
    values: Vec<(f64, f64)>,
    /// Whether the run of a value kept its promises.
    passed: Vec<bool>,
}

/// A sweep as a page that needs nothing but itself.
#[must_use]
pub fn page(sweep: &Sweep) -> String {
    let points = || sweep.scenes.iter().flat_map(Scene::points);
    let failed = points().filter(|point| !point.passed).count();
    let (class, word) = match (sweep.passed(), points().count()) {
        (true, all) => ("pass", format!("✓ all {all} runs passed")),
        (false, all) => ("fail", format!("✕ {failed} of {all} runs failed")),
    };
    let names: Vec<_> = sweep.scenes.iter().map(|scene| scene.scenario.as_str()).collect();
    let name = names.join(", ");
    let mut body = format!(
        "<header><p class=\"over\">Floodgate load test, sweep of overload</p><h1>{} \
         <span class=\"pill {class}\">{word}</span></h1></header>",
        escape(&name),
    );
    for scene in &sweep.scenes {
        draw_scene(&mut body, scene);
    }
    let machine = &sweep.machine;
    let facts = pairs([
        ("command", sweep.command.clone()),
        ("commit", sweep.commit.clone().unwrap_or_else(|| "not known".to_owned())),
        ("started", sweep.started_at.clone()),
        ("processor", machine.cpu.clone()),
        ("cores", machine.cores.to_string()),
        ("kernel", machine.kernel.clone()),
    ]);
    body.push_str(&card("wide", "Where and how", "", &facts));
    document(&format!("{name}: Floodgate sweep"), &body, &serde_json::Value::Null)
}

fn draw_scene(body: &mut String, scene: &Scene) {
    let (name, about) = (escape(&scene.scenario), escape(&scene.about));
    body.push_str(&format!("<header><h2>{name}</h2><p>{about}</p></header>"));
    if let Some(drawing) = checkouts(scene) {
        let lede = "Customers who had paid before their patience ran out, against what was offered \
                    in multiples of capacity. The optimum is the capacity over the calls of one \
                    checkout: no gateway can be above it, a good one stays near it. A hollow dot is \
                    a run that broke a promise.";
        let title = "Completed checkouts against offered load";
        body.push_str(&card("wide", title, lede, &panel(&drawing)));
    }
    let lede = "Successes within their deadline, all tiers together.";
    body.push_str(&card("wide", "Goodput against offered load", lede, &panel(&goodput(scene))));
    let lede = "Of the first tier, from the intended start.";
    body.push_str(&card("half", "Success p99", lede, &panel(&latency(scene))));
    let lede = "Successes in time of the tiers of the first target: the lower ones give way first.";
    body.push_str(&card("half", "Tiers", lede, &panel(&tiers(scene))));
    let lede = "Every run's whole report is in a folder beside this page, named after scenario, target \
                and factor.";
    body.push_str(&card("wide", "Figures", lede, &table(scene)));
}

/// The main drawings as one SVG for a README: checkouts, and goodput when there is one scenario.
#[must_use]
pub fn svg(sweep: &Sweep) -> String {
    let mut drawings = Vec::new();
    for scene in &sweep.scenes {
        let about = &scene.about;
        drawings.extend(
            checkouts(scene).map(|it| (format!("Completed checkouts per second: {about}"), it)),
        );
        if sweep.scenes.len() == 1 {
            drawings.push((format!("Successes in time per second: {about}"), goodput(scene)));
        }
    }
    let (width, height) = (WIDE.0, WIDE.1 + 40.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" role=\"img\" \
         aria-label=\"completed checkouts against offered load\">",
        height * drawings.len() as f64 + 8.0,
    );
    for (at, (title, drawing)) in drawings.iter().enumerate() {
        let top = height * at as f64;
        let inner = drawing.replacen(
            "<svg ",
            &format!("<svg y=\"{}\" width=\"{width}\" height=\"{}\" ", top + 36.0, WIDE.1),
            1,
        );
        let (y, title) = (top + 24.0, escape(title));
        out.push_str(&format!("<text class=\"heading\" x=\"20\" y=\"{y}\">{title}</text>{inner}"));
    }
    out.push_str("</svg>");
    standalone(&out)
}

fn panel(drawing: &str) -> String {
    format!("<div class=\"panel\">{drawing}</div>")
}

// === impl Line ===

impl Line {
    /// A point without a value is a gap.
    fn new(name: &str, mark: Mark, series: &Series, value: impl Fn(&Point) -> Option<f64>) -> Self {
        let known = |point: &Point| if point.problem.is_some() { None } else { value(point) };
        let values =
            series.points.iter().map(|point| (point.overload, known(point).unwrap_or(f64::NAN)));
        let passed = series.points.iter().map(|point| point.passed).collect();
        Self { name: name.to_owned(), mark, values: values.collect(), passed }
    }
}

/// A line per target.
fn by_target(scene: &Scene, value: fn(&Point) -> Option<f64>) -> Vec<Line> {
    let series = scene.series.iter().enumerate();
    series.map(|(at, series)| Line::new(&series.target, target_mark(at), series, value)).collect()
}

fn target_mark(at: usize) -> Mark {
    const COLOURS: [&str; 9] =
        ["c-success", "c-t1", "c-timeout", "c-dropped", "c-t2", "c-t3", "c-t5", "c-t0", "c-failed"];
    Mark::new(COLOURS[at % COLOURS.len()], at % 4)
}

fn checkouts(scene: &Scene) -> Option<String> {
    let lines = by_target(scene, |point| point.completed_per_s);
    let optimum = scene.points().filter_map(|point| point.optimum_per_s).reduce(f64::max);
    let is_known = scene.points().any(|point| point.completed_per_s.is_some());
    let rule = optimum.map(|at| (at, format!("optimum C/k = {}/s", report::number(at))));
    is_known.then(|| {
        draw(
            scene,
            WIDE,
            "Completed checkouts against offered load",
            "checkouts/s",
            &lines,
            rule,
            false,
        )
    })
}

fn goodput(scene: &Scene) -> String {
    let lines = by_target(scene, |point| Some(point.goodput_per_s));
    draw(scene, WIDE, "Goodput against offered load", "successes in time/s", &lines, None, false)
}

fn latency(scene: &Scene) -> String {
    let lines = by_target(scene, |point| point.tiers.first()?.success_p99_ms);
    draw(scene, HALF, "Success p99 against offered load", "log scale", &lines, None, true)
}

fn tiers(scene: &Scene) -> String {
    let Some(first) = scene.series.first() else {
        return draw(scene, HALF, "Tiers", "/s", &[], None, false);
    };
    let names = first.points.iter().find(|point| !point.tiers.is_empty());
    let names = names.map(|point| point.tiers.as_slice()).unwrap_or_default();
    let is_used = |at: usize| {
        let tiers = first.points.iter().filter_map(|point| point.tiers.get(at));
        tiers.map(|tier| tier.offered_per_s).sum::<f64>() > 0.0
    };
    let lines: Vec<_> = names
        .iter()
        .enumerate()
        .filter(|(at, _)| is_used(*at))
        .map(|(at, tier)| {
            Line::new(&tier.tier, Mark::tier(at), first, |point| {
                Some(point.tiers.get(at)?.in_time_per_s)
            })
        })
        .collect();
    draw(scene, HALF, "Tiers against offered load", "successes in time/s", &lines, None, false)
}

fn draw(
    scene: &Scene,
    size: (f64, f64),
    title: &str,
    unit: &str,
    lines: &[Line],
    rule: Option<(f64, String)>,
    is_log: bool,
) -> String {
    let factors = scene.factors();
    let (low, high) =
        (factors.first().copied().unwrap_or(1.0), factors.last().copied().unwrap_or(10.0));
    let x = Scale::Log { min: low / 1.15, max: high * 1.03 };
    let all = lines.iter().flat_map(|line| &line.values).map(|(_, value)| *value);
    let y = if is_log {
        Scale::decades(all)
    } else {
        Scale::from_zero(all.chain(rule.iter().map(|(at, _)| at * 1.02)))
    };
    let mut plot = Plot::new(size.0, size.1, x, y);
    plot.x_ticks(&factors);
    plot.lines(lines.iter().map(|line| (line.name.clone(), line.mark.clone())));
    let ends = lines.iter().filter_map(|line| {
        let last = line.values.iter().rev().find(|(_, value)| value.is_finite())?;
        Some((line.name.clone(), line.mark.clone(), last.1))
    });
    // In a small drawing the lines need the room themselves.
    if size == WIDE {
        plot.ends(ends.collect());
    }
    for line in lines {
        plot.line(&line.mark, line.values.iter().copied());
        for (value, passed) in line.values.iter().zip(&line.passed) {
            plot.dot(&line.mark, *value, !passed);
        }
    }
    if let Some((at, text)) = rule {
        plot.rule(at, &text);
    }
    let times = |factor: f64| format!("{}×", report::number(factor));
    let text = if is_log { report::latency } else { report::number };
    plot.finish(title, unit, "offered load, in multiples of capacity", times, text)
}

fn table(scene: &Scene) -> String {
    let columns: Vec<_> = COLUMNS.iter().copied().chain(["promises"]).collect();
    let mut table = Table::new(&columns);
    for series in &scene.series {
        for point in &series.points {
            let mut row = vec![series.target.clone()];
            row.extend(cells(point));
            if point.problem.is_none() {
                row.push(match (point.passed, point.failed_verdicts.as_slice()) {
                    (true, _) => "✓ all kept".to_owned(),
                    (false, []) => "none made".to_owned(),
                    (false, [one]) => format!("✕ {one}"),
                    (false, [one, rest @ ..]) => format!("✕ {one}, {} more", rest.len()),
                });
            }
            table.row(&row);
        }
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{report::wellformed, sweep::example};

    #[test]
    fn page_and_drawing_are_well_formed_and_need_nothing_from_elsewhere() {
        for sweep in [example(), Sweep::default()] {
            for markup in [page(&sweep), svg(&sweep)] {
                wellformed::check(&markup);
                wellformed::check_self_contained(&markup);
            }
        }
    }

    #[test]
    fn the_optimum_is_drawn_and_a_failed_run_is_a_gap() {
        let sweep = example();
        let drawing = checkouts(&sweep.scenes[0]).unwrap();
        assert!(drawing.contains("optimum C/k = 90/s"));
        let dots = drawing.matches("<circle").count();
        assert_eq!(dots, 6 + 5, "the run that failed has none");
    }
}
