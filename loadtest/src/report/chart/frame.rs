//! What stands around the marks of a drawing: axes, units, legend.

use super::{BOTTOM, LEFT, Mark, Plot, RIGHT, add, escape};

/// Height of a row of the legend.
const ROW: f64 = 18.0;
/// Width of a character of the legend, about.
const CHAR: f64 = 6.35;

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
            if x > 0.0 && x + width > self.inner_width() {
                (x, row) = (0.0, row + 1.0);
            }
            x += width;
            (LEFT + x - width, row)
        };
        self.legend.iter().map(place).collect()
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
            self.width - RIGHT,
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
                self.width - RIGHT,
                self.height - 4.0,
                escape(x_label),
            ),
        );
        out
    }

    fn draw_axes(&self, out: &mut String, x_text: fn(f64) -> String, y_text: fn(f64) -> String) {
        let (right, bottom) = (self.width - RIGHT, self.height - BOTTOM);
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
