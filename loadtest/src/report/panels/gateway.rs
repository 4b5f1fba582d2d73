//! What the gateway said of itself: buffer, breakers, permits, pressure.

use super::{HALF, Panels};
use crate::report::{chart::Mark, document::card, figure, scale::Scale};

// === impl Panels ===

impl Panels<'_> {
    pub(super) fn gateway(&mut self) -> String {
        let mut looks = self.timeline.columns.iter().filter_map(|column| column.gateway.as_ref());
        let Some(last) = looks.next_back().cloned() else { return String::new() };
        let names = self.tier_names(last.queue_depth.keys());
        let mut out = self.buffer(&names, last.buffer);
        out.push_str(&self.breakers(&names));
        out.push_str(&self.in_flight());
        out
    }

    /// Tiers in the order of the record, then those that only the gateway knows.
    fn tier_names<'b>(&self, known: impl Iterator<Item = &'b String>) -> Vec<String> {
        let mut names: Vec<_> = self.record.tiers.iter().map(|tier| tier.tier.clone()).collect();
        for name in known {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names.truncate(8);
        names
    }

    fn buffer(&mut self, names: &[String], places: u64) -> String {
        let depth = |name: &String| {
            self.timeline
                .gauge(|gateway| gateway.queue_depth.get(name).copied().unwrap_or(0) as f64)
        };
        let depths: Vec<_> = names.iter().map(depth).collect();
        let sums = (0..self.timeline.columns.len()).map(|at| {
            let values = depths.iter().map(|depth| depth[at]);
            values.filter(|value| value.is_finite()).sum::<f64>()
        });
        let peak = sums.fold(0.0, f64::max);
        // A limit far above what was used would flatten everything.
        let limit = (places as f64 <= peak * 3.0 && places > 0).then_some(places as f64);
        let mut plot = self.plot(HALF, Scale::from_zero([peak, limit.map_or(0.0, |at| at * 1.1)]));
        plot.areas(names.iter().enumerate().map(|(at, name)| (name.clone(), Mark::tier(at))));
        let mut low = vec![0.0; self.timeline.columns.len()];
        for (at, (name, depth)) in names.iter().zip(&depths).enumerate() {
            let high: Vec<_> = low
                .iter()
                .zip(depth)
                .map(|(low, value)| if value.is_finite() { low + value } else { *low })
                .collect();
            plot.steps(&Mark::tier(at), &self.timeline.edges, &low, &high);
            self.hover.add("buffer", name, &Mark::tier(at), "", depth);
            low = high;
        }
        if let Some(limit) = limit {
            plot.rule(limit, &format!("{} places", figure::number(limit)));
        }
        let inner =
            self.draw("buffer", &plot, "Waiting requests by tier", "waiting", figure::number);
        let lede = if places > 0 {
            format!("From /metrics, once a second. The buffer has {places} places.")
        } else {
            "From /metrics, once a second.".to_owned()
        };
        card("half", "Buffer depth", &lede, &inner)
    }

    fn breakers(&mut self, names: &[String]) -> String {
        let rows = names.len() as f64;
        let mut plot = self.plot(HALF, Scale::Linear { min: 0.0, max: rows.max(1.0) });
        plot.areas([("open: this tier is refused".to_owned(), Mark::new("c-failed", 1))]);
        for (at, name) in names.iter().enumerate() {
            let open = self.timeline.gauge(|gateway| {
                f64::from(u8::from(gateway.breaker_open.get(name).copied().unwrap_or(false)))
            });
            let spans = spans(&open, &self.timeline.edges);
            let y = rows - at as f64 - 0.5;
            let total = spans.iter().fold(0.0, |sum, (from, to)| sum + to - from);
            plot.spans(&Mark::new("c-failed", 1), y, &spans);
            plot.row(y, &format!("{name}: open in {total:.0} s of {:.0} s", self.timeline.end()));
            self.hover.add("breakers", &format!("{name} open"), &Mark::tier(at), "", &open);
        }
        let inner = self.draw("breakers", &plot, "Breakers by tier", "", |_| String::new());
        card(
            "half",
            "Breakers",
            "A breaker trips at the high watermark and resets at the low one.",
            &inner,
        )
    }

    fn in_flight(&mut self) -> String {
        let at = self.timeline.gauge(|gateway| gateway.in_flight as f64);
        let limit = self.timeline.gauge(|gateway| gateway.in_flight_limit as f64);
        let pressure = self.timeline.gauge(|gateway| gateway.pressure);
        let mark = Mark::new("c-success", 0);
        let ink = Mark::new("c-ink", 1);
        let middles: Vec<_> = self.timeline.middles().collect();
        let points = |values: &[f64]| -> Vec<_> {
            middles.iter().copied().zip(values.iter().copied()).collect()
        };
        let mut plot = self.plot(HALF, Scale::from_zero(at.iter().chain(&limit).copied()));
        plot.lines([("in flight".to_owned(), mark.clone()), ("limit".to_owned(), ink.clone())]);
        plot.outline(&ink, &self.timeline.edges, &limit);
        plot.line(&mark, points(&at));
        self.hover.add("in-flight", "in flight", &mark, "", &at);
        self.hover.add("in-flight", "limit", &ink, "", &limit);
        let inner =
            self.draw("in-flight", &plot, "Requests at the upstreams", "requests", figure::number);
        let lede = "Permits in use. Below the limit while others wait means the upstream idles.";
        let mut out = card("half", "In flight", lede, &inner);
        let mut plot = self.plot(HALF, Scale::Linear { min: 0.0, max: 1.0 });
        let mark = Mark::new("c-refused", 0);
        plot.lines([("pressure".to_owned(), mark.clone())]);
        plot.line(&mark, points(&pressure));
        self.hover.add("pressure", "pressure", &mark, "", &pressure);
        let inner = self.draw("pressure", &plot, "Pressure", "0 to 1", figure::number);
        let lede = "The largest of buffer occupancy, queue delay over target, memory over limit.";
        out.push_str(&card("half", "Pressure", lede, &inner));
        out
    }
}

/// The runs of columns in which a value is above zero.
fn spans(values: &[f64], edges: &[f64]) -> Vec<(f64, f64)> {
    let mut spans: Vec<(f64, f64)> = Vec::new();
    for (value, edge) in values.iter().zip(edges.windows(2)) {
        match spans.last_mut() {
            Some((_, end)) if *value > 0.0 && *end == edge[0] => *end = edge[1],
            _ if *value > 0.0 => spans.push((edge[0], edge[1])),
            _ => {}
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_columns_make_one_span() {
        let values = [0.0, 1.0, 1.0, f64::NAN, 1.0, 0.0];
        let edges = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(spans(&values, &edges), [(1.0, 3.0), (4.0, 5.0)]);
    }
}
