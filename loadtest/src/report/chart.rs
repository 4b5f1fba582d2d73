//! Drawings: lines, areas and bands between two axes, as SVG that needs nothing else.
//!
//! Colours are classes (`c-…`), so that one style sheet serves light and dark. What colour tells,
//! a dash or a texture tells too.

mod frame;

use std::fmt::Write as _;

use super::{document::escape, scale::Scale};

use frame::{Entry, Kind};

/// Room beside the axes.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 36.0;

/// A drawing in the making.
#[derive(Debug)]
pub(crate) struct Plot {
    width: f64,
    height: f64,
    top: f64,
    /// Room on the right.
    right: f64,
    x: Scale,
    y: Scale,
    body: String,
    /// Drawn above everything else.
    notes: String,
    legend: Vec<Entry>,
    columns: usize,
    /// Instead of round values.
    x_ticks: Vec<f64>,
}

/// How a series looks: a colour class and a number that tells its texture or dash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) colour: String,
    /// 0 plain; else dash of a line, texture of an area.
    pub(crate) style: usize,
}

// === impl Mark ===

impl Mark {
    pub(crate) fn new(colour: &str, style: usize) -> Self {
        Self { colour: colour.to_owned(), style }
    }

    /// Tiers by their place.
    pub(crate) fn tier(index: usize) -> Self {
        Self { colour: format!("c-t{}", index % 6), style: index % 4 }
    }

    /// The `index`-th of several that have no colour of their own.
    pub(crate) fn nth(index: usize) -> Self {
        Self { colour: format!("c-r{}", index % 8), style: (index * 3 + index / 4) % 4 }
    }
}

// === impl Plot ===

impl Plot {
    pub(crate) fn new(width: f64, height: f64, x: Scale, y: Scale) -> Self {
        Self {
            width,
            height,
            top: 0.0,
            right: RIGHT,
            x,
            y,
            body: String::new(),
            notes: String::new(),
            legend: Vec::new(),
            columns: 0,
            x_ticks: Vec::new(),
        }
    }

    /// Names the series beforehand: the room for the legend has to be known.
    pub(crate) fn lines(&mut self, names: impl IntoIterator<Item = (String, Mark)>) {
        self.name(Kind::Line, names);
    }

    /// See [`lines`](Self::lines).
    pub(crate) fn areas(&mut self, names: impl IntoIterator<Item = (String, Mark)>) {
        self.name(Kind::Area, names);
    }

    /// Columns of equal width that a pointer can ask for.
    pub(crate) fn columns(&mut self, columns: usize) {
        self.columns = columns;
    }

    /// Marks on the horizontal axis, instead of round values.
    pub(crate) fn x_ticks(&mut self, values: &[f64]) {
        self.x_ticks = values.to_vec();
    }

    fn inner_width(&self) -> f64 {
        self.width - LEFT - self.right
    }

    fn px(&self, x: f64) -> f64 {
        LEFT + self.x.at(x) * self.inner_width()
    }

    fn py(&self, y: f64) -> f64 {
        let bottom = self.height - BOTTOM;
        bottom - self.y.at(y) * (bottom - self.top)
    }

    /// A line through points; a point that is not finite makes a gap.
    pub(crate) fn line(&mut self, mark: &Mark, points: impl IntoIterator<Item = (f64, f64)>) {
        let path = self.path(points);
        self.push(format_args!(
            "<path class=\"line d{} {}\" d=\"{path}\"/>",
            mark.style, mark.colour
        ));
    }

    /// A line in steps over columns that begin at `edges`.
    pub(crate) fn outline(&mut self, mark: &Mark, edges: &[f64], values: &[f64]) {
        let columns = edges.windows(2).zip(values);
        let points: Vec<_> =
            columns.flat_map(|(edge, value)| [(edge[0], *value), (edge[1], *value)]).collect();
        self.line(mark, points);
    }

    /// A thinner line, for what is secondary.
    pub(crate) fn thin(&mut self, mark: &Mark, points: impl IntoIterator<Item = (f64, f64)>) {
        let path = self.path(points);
        self.push(format_args!("<path class=\"line thin {}\" d=\"{path}\"/>", mark.colour));
    }

    /// A dot at a point; hollow if it is not to be relied on.
    pub(crate) fn dot(&mut self, mark: &Mark, (x, y): (f64, f64), is_hollow: bool) {
        if x.is_finite() && y.is_finite() {
            let (x, y) = (self.px(x), self.py(y));
            let class = if is_hollow { "dot hollow" } else { "dot" };
            self.push(format_args!(
                "<circle class=\"{class} {}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>",
                mark.colour
            ));
        }
    }

    /// The area between `low` and `high` over columns that begin at `edges`; one edge more than
    /// columns. Steps, because a column is a count over its whole width.
    pub(crate) fn steps(&mut self, mark: &Mark, edges: &[f64], low: &[f64], high: &[f64]) {
        if low.iter().zip(high).all(|(low, high)| high <= low) {
            return;
        }
        let mut path = String::new();
        let columns: Vec<_> = edges
            .windows(2)
            .zip(low.iter().zip(high))
            .map(|(edge, (low, high))| (edge[0], edge[1], low, high))
            .collect();
        for (at, (from, to, _, high)) in columns.iter().enumerate() {
            let letter = if at == 0 { 'M' } else { 'L' };
            let (from, to, y) = (self.px(*from), self.px(*to), self.py(**high));
            add(&mut path, format_args!("{letter}{from:.1} {y:.1}H{to:.1}"));
        }
        for (from, to, low, _) in columns.iter().rev() {
            let (from, to, y) = (self.px(*from), self.px(*to), self.py(**low));
            add(&mut path, format_args!("L{to:.1} {y:.1}H{from:.1}"));
        }
        path.push('Z');
        self.fill(mark, &path);
    }

    /// The range between two lines over the same points.
    pub(crate) fn band(&mut self, mark: &Mark, points: &[(f64, f64, f64)]) {
        let run = |points: &[(f64, f64, f64)]| {
            let upper = points.iter().map(|(x, _, high)| (*x, *high));
            let lower = points.iter().rev().map(|(x, low, _)| (*x, *low));
            let path = self.path(upper.chain(lower));
            format!("<path class=\"band {}\" d=\"{path}Z\"/>", mark.colour)
        };
        let whole = points.split(|(x, low, high)| !(x + low + high).is_finite());
        let bands: String = whole.filter(|points| points.len() > 1).map(run).collect();
        self.body.push_str(&bands);
    }

    /// A horizontal line with a word on it: a limit, an optimum.
    pub(crate) fn rule(&mut self, y: f64, text: &str) {
        let (from, to, at) = (LEFT, self.width - self.right, self.py(y));
        let text = escape(text);
        add(
            &mut self.notes,
            format_args!(
                "<path class=\"rule\" d=\"M{from:.1} {at:.1}H{to:.1}\"/>\
                 <text class=\"note-text\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                to - 4.0,
                at - 5.0
            ),
        );
    }

    /// A vertical line with a word on it: something begins.
    pub(crate) fn divider(&mut self, x: f64, text: &str) {
        let (at, top, bottom) = (self.px(x), self.top, self.height - BOTTOM);
        let (anchor, x) =
            if at > self.width * 0.85 { ("end", at - 4.0) } else { ("start", at + 4.0) };
        let text = escape(text);
        add(
            &mut self.notes,
            format_args!(
                "<path class=\"phase\" d=\"M{at:.1} {top:.1}V{bottom:.1}\"/>\
                 <text class=\"note-text\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
                top + 12.0
            ),
        );
    }

    /// A word above a row of spans.
    pub(crate) fn row(&mut self, y: f64, text: &str) {
        let (x, y, text) = (LEFT + 4.0, self.py(y + 0.3) - 5.0, escape(text));
        add(
            &mut self.notes,
            format_args!("<text class=\"note-text\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"),
        );
    }

    /// A row of spans at the given height of the plot, for what is on or off.
    pub(crate) fn spans(&mut self, mark: &Mark, y: f64, spans: &[(f64, f64)]) {
        let (top, bottom) = (self.py(y + 0.3), self.py(y - 0.3));
        for (from, to) in spans {
            let (from, to) = (self.px(*from), self.px(*to));
            let path = format!("M{from:.1} {top:.1}H{to:.1}V{bottom:.1}H{from:.1}Z");
            self.fill(mark, &path);
        }
    }

    fn fill(&mut self, mark: &Mark, path: &str) {
        self.push(format_args!("<path class=\"area {}\" d=\"{path}\"/>", mark.colour));
        if mark.style > 0 {
            self.push(format_args!("<path fill=\"url(#texture-{})\" d=\"{path}\"/>", mark.style));
        }
    }

    fn path(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let (mut path, mut pen_is_down) = (String::new(), false);
        for (x, y) in points {
            if !(x.is_finite() && y.is_finite()) {
                pen_is_down = false;
                continue;
            }
            let letter = if pen_is_down { 'L' } else { 'M' };
            add(&mut path, format_args!("{letter}{:.1} {:.1}", self.px(x), self.py(y)));
            if !pen_is_down {
                // A point alone is seen as a dot of the line's width.
                path.push_str("h0");
            }
            pen_is_down = true;
        }
        path
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        add(&mut self.body, text);
    }
}

/// Writing to a string cannot fail.
fn add(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{figure, wellformed};

    fn plot() -> Plot {
        let x = Scale::Linear { min: 0.0, max: 4.0 };
        let mut plot = Plot::new(400.0, 200.0, x, Scale::from_zero([10.0]));
        plot.lines([("a <b>".to_owned(), Mark::tier(1))]);
        plot
    }

    fn svg(plot: &Plot) -> String {
        plot.finish("\"t\" & <u>", "u", "x", figure::number, figure::number)
    }

    #[test]
    fn names_from_outside_do_not_become_markup() {
        wellformed::check(&svg(&plot()));
    }

    #[test]
    fn a_missing_point_is_a_gap_and_not_a_zero() {
        let mut plot = plot();
        plot.line(&Mark::tier(0), [(0.0, 1.0), (1.0, 1.0), (2.0, f64::NAN), (3.0, 1.0)]);
        let path = plot.body.split(" d=").nth(1).unwrap();
        assert_eq!(path.matches('M').count(), 2, "{path}");
    }

    #[test]
    fn the_legend_breaks_into_rows() {
        let mut plot = plot();
        let one = plot.top;
        plot.areas((0..9).map(|at| (format!("a rather long name {at}"), Mark::nth(at))));
        assert!(plot.top > one);
        assert!(plot.places().iter().all(|(x, _)| *x < 400.0));
    }

    #[test]
    fn names_beside_the_ends_of_lines_lie_within_the_drawing_and_not_on_each_other() {
        let mut plot = plot();
        let name = |at: usize| (format!("line {at}"), Mark::nth(at), (at % 2) as f64);
        plot.ends((0..6).map(name).collect());
        let texts = plot.notes.split("<text ").skip(1);
        let y = |text: &str| text.split(" y=\"").nth(1)?.split('"').next()?.parse::<f64>().ok();
        let places: Vec<_> = texts.filter_map(y).collect();
        assert_eq!(places.len(), 6);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= 14.9), "{places:?}");
        assert!(places.iter().all(|place| *place <= plot.height), "{places:?}");
        assert!(plot.px(4.0) < 400.0 - 6.0 * 6.0, "there is room for the names");
    }

    #[test]
    fn an_area_of_nothing_is_not_drawn() {
        let mut plot = plot();
        plot.steps(&Mark::nth(0), &[0.0, 1.0], &[2.0], &[2.0]);
        assert!(plot.body.is_empty());
        plot.steps(&Mark::nth(0), &[0.0, 1.0], &[2.0], &[3.0]);
        assert!(!plot.body.is_empty());
    }
}
