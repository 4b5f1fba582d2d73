//! What stands around the marks of a drawing: axes, units, legend.

use super::{BOTTOM, LEFT, Mark, Plot, RIGHT, add, escape};

/// Height of a row of the legend.
const ROW: f64 = 18.0;
/// Width of a character of the legend, about.
const CHAR: f64 = 6.35;
/// From one name beside a line's end to the next, at least.
const APART: f64 = 15.0;
/// From a line's end to its name.
const LEAD: f64 = 16.0;

/// One series in the legend.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) mark: Mark,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Area,
    Line,
}

impl Plot {
    /// Names series; the legend takes its room from the top.
    pub(super) fn name(&mut self, kind: Kind, names: impl IntoIterator<Item = (String, Mark)>) {
        self.legend.extend(names.into_iter().map(|(name, mark)| Entry { name, mark, kind }));
        let rows = self.places().last().map_or(0.0, |(_, row)| row + 1.0);
        self.top = rows * ROW + 22.0;
    }

    /// Where each entry of the legend stands: x, and the row.
    pub(super) fn places(&self) -> Vec<(f64, f64)> {
        let (mut x, mut row) = (0.0, 0.0);
        let place = |entry: &Entry| {
            let width = 26.0 + entry.name.chars().count() as f64 * CHAR + 14.0;
            if x > 0.0 && x + width > self.width - LEFT - RIGHT {
                (x, row) = (0.0, row + 1.0);
            }
            x += width;
            (LEFT + x - width, row)
        };
        self.legend.iter().map(place).collect()
    }

    /// Names beside the right ends of lines, at their values. To be said after the legend and before
    /// anything is drawn: the names take their room from the right.
    pub(crate) fn ends(&mut self, mut ends: Vec<(String, Mark, f64)>) {
        let longest = ends.iter().map(|(name, ..)| name.chars().count()).max();
        let Some(longest) = longest else { return };
        self.right = RIGHT + LEAD + longest as f64 * CHAR;
        ends.sort_by(|(.., one), (.., other)| other.total_cmp(one));
        let (from, lowest) = (self.width - self.right, self.height - BOTTOM);
        let mut places: Vec<_> = ends.iter().map(|(.., value)| self.py(*value)).collect();
        // Down from the highest, then up from the bottom, so that none lies on another.
        for at in 1..places.len() {
            places[at] = places[at].max(places[at - 1] + APART);
        }
        let mut room = lowest;
        for place in places.iter_mut().rev() {
            *place = place.min(room);
            room = *place - APART;
        }
        for ((name, mark, value), place) in ends.iter().zip(places) {
            let (end, to, x) = (self.py(*value), from + LEAD - 6.0, from + LEAD - 2.0);
            let (name, y) = (escape(name), place + 4.0);
            add(
                &mut self.notes,
                format_args!(
                    "<path class=\"line thin {}\" d=\"M{from:.1} {end:.1}L{to:.1} {place:.1}\"/>\
                     <text class=\"legend\" x=\"{x:.1}\" y=\"{y:.1}\">{name}</text>",
                    mark.colour
                ),
            );
        }
    }

    /// The drawing. `title` is what a reader without eyes for it gets, `unit` stands above the
    /// vertical axis, `x_label` below the other; the functions write the marks.
    pub(crate) fn finish(
        &self,
        title: &str,
        unit: &str,
        x_label: &str,
        x_text: fn(f64) -> String,
        y_text: fn(f64) -> String,
    ) -> String {
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" \
             viewBox=\"0 0 {:.0} {:.0}\" aria-label=\"{}\" data-left=\"{LEFT}\" data-right=\"{}\" \
             data-columns=\"{}\">",
            self.width,
            self.height,
            escape(title),
            self.width - self.right,
            self.columns
        );
        self.draw_axes(&mut out, x_text, y_text);
        out.push_str(&self.body);
        out.push_str(&self.notes);
        self.draw_legend(&mut out);
        let (top, bottom) = (self.top, self.height - BOTTOM);
        add(
            &mut out,
            format_args!(
                "<text class=\"unit\" x=\"{LEFT}\" y=\"{:.1}\">{}</text>\
                 <text class=\"unit\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <path class=\"cursor\" d=\"M0 {top:.1}V{bottom:.1}\"/></svg>",
                top - 8.0,
                escape(unit),
                self.width - self.right,
                self.height - 4.0,
                escape(x_label),
            ),
        );
        out
    }

    fn draw_axes(&self, out: &mut String, x_text: fn(f64) -> String, y_text: fn(f64) -> String) {
        let (right, bottom) = (self.width - self.right, self.height - BOTTOM);
        for tick in self.y.ticks(5.0) {
            let y = self.py(tick.value);
            let class = if tick.labelled { "grid" } else { "grid faint" };
            add(out, format_args!("<path class=\"{class}\" d=\"M{LEFT} {y:.1}H{right:.1}\"/>"));
            if tick.labelled {
                let text = escape(&y_text(tick.value));
                let (x, y) = (LEFT - 8.0, y + 4.0);
                add(
                    out,
                    format_args!(
                        "<text class=\"tick\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>"
                    ),
                );
            }
        }
        let round = || {
            let ticks = self.x.ticks((self.inner_width() / 80.0).max(3.0)).into_iter();
            ticks.filter(|tick| tick.labelled).map(|tick| tick.value).collect()
        };
        let ticks = if self.x_ticks.is_empty() { round() } else { self.x_ticks.clone() };
        for value in ticks {
            let (x, text) = (self.px(value), escape(&x_text(value)));
            add(
                out,
                format_args!(
                    "<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v4\"/>\
                     <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                    bottom + 16.0
                ),
            );
        }
        add(out, format_args!("<path class=\"axis\" d=\"M{LEFT} {bottom:.1}H{right:.1}\"/>"));
    }

    fn draw_legend(&self, out: &mut String) {
        for (entry, (x, row)) in self.legend.iter().zip(self.places()) {
            let y = row * ROW + 4.0;
            let Mark { colour, style } = &entry.mark;
            match entry.kind {
                Kind::Area => {
                    let shape =
                        format!("x=\"{x:.1}\" y=\"{y:.1}\" width=\"20\" height=\"10\" rx=\"2\"");
                    add(out, format_args!("<rect class=\"area {colour}\" {shape}/>"));
                    if *style > 0 {
                        add(out, format_args!("<rect fill=\"url(#texture-{style})\" {shape}/>"));
                    }
                }
                Kind::Line => add(
                    out,
                    format_args!(
                        "<path class=\"line d{style} {colour}\" d=\"M{x:.1} {:.1}h20\"/>",
                        y + 5.0
                    ),
                ),
            }
            let (x, y, name) = (x + 26.0, y + 9.0, escape(&entry.name));
            add(
                out,
                format_args!("<text class=\"legend\" x=\"{x:.1}\" y=\"{y:.1}\">{name}</text>"),
            );
        }
    }
}
