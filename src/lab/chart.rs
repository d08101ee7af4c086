//! Line charts as SVG: panels one below another, for the screen and for print.

use std::fmt::Write;

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A line through the points.
    Line,
    /// A dashed line through the points.
    Dashed,
    /// A vertical bar for each point.
    Bars,
    /// A dot for each point, with a line through them.
    Dots,
}

/// Points under a name.
pub struct Series {
    /// The name, shown where the line ends, or above.
    pub name: String,
    /// `#rrggbb`.
    pub colour: &'static str,
    /// How it is drawn.
    pub mark: Mark,
    /// x and y, in order of x.
    pub points: Vec<(f64, f64)>,
}

/// A plot with two axes.
pub struct Panel {
    /// What is along the vertical axis, with its unit.
    pub y_label: String,
    /// From and to.
    pub y_range: (f64, f64),
    /// Whether the vertical axis is logarithmic.
    pub y_logarithmic: bool,
    /// The lines.
    pub series: Vec<Series>,
}

/// Panels that share their horizontal axis.
pub struct Chart {
    /// In bold above.
    pub title: String,
    /// In grey below it.
    pub subtitle: String,
    /// What is along the horizontal axis, with its unit.
    pub x_label: String,
    /// From and to.
    pub x_range: (f64, f64),
    /// Whether the horizontal axis is logarithmic.
    pub x_logarithmic: bool,
    /// The panels, from the top.
    pub panels: Vec<Panel>,
}

/// Colours that also colour-blind people tell apart (Okabe and Ito 2008).
pub(super) const COLOURS: [&str; 6] = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#b8860b", "#444444"];

const WIDTH: f64 = 820.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 796.0;
/// Below title and subtitle, with a row left for the names of the first panel.
const TOP: f64 = 108.0;
const PANEL: f64 = 270.0;
const GAP: f64 = 34.0;

/// A mapping from values to pixels.
struct Axis {
    from: f64,
    to: f64,
    pixels: (f64, f64),
    logarithmic: bool,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let share = match self.logarithmic {
            true => (value.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
            false => (value - self.from) / (self.to - self.from),
        };
        self.pixels.0 + share.clamp(0.0, 1.0) * (self.pixels.1 - self.pixels.0)
    }

    /// Values to mark, and whether they get a number.
    fn ticks(&self) -> Vec<(f64, bool)> {
        if self.logarithmic {
            let powers = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
            let all =
                powers.flat_map(|power| (1..=9).map(move |n| (f64::from(n) * 10f64.powi(power), n == 1)));
            return all.filter(|(value, _)| (self.from * 0.999..=self.to * 1.001).contains(value)).collect();
        }
        let span = self.to - self.from;
        let power = 10f64.powf((span / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| span / step <= 6.0);
        let step = step.unwrap_or(span);
        let first = (self.from / step - 1e-9).ceil() as i64;
        let last = (self.to / step + 1e-9).floor() as i64;
        (first..=last).map(|n| (n as f64 * step, true)).collect()
    }
}

/// A number as an axis shows it.
fn number(value: f64) -> String {
    match value.abs() {
        10_000.0.. if value % 1000.0 == 0.0 => format!("{} 000", value / 1000.0),
        _ => format!("{}", (value * 1e6).round() / 1e6),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Chart {
    /// The SVG.
    pub fn svg(&self) -> String {
        let panels = self.panels.len() as f64;
        let bottom = TOP + panels * PANEL + (panels - 1.0) * GAP;
        let height = bottom + 58.0;
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="Helvetica, Arial, sans-serif" font-size="15" fill="#111">
<rect width="100%" height="100%" fill="#fff"/>
<text x="{LEFT}" y="30" font-size="20" font-weight="bold">{}</text>
<text x="{LEFT}" y="53" fill="#444">{}</text>
<text x="{}" y="{}" text-anchor="middle">{}</text>
"##,
            escaped(&self.title),
            escaped(&self.subtitle),
            (LEFT + RIGHT) / 2.0,
            bottom + 46.0,
            escaped(&self.x_label),
        );
        let (from, to) = self.x_range;
        let x = Axis { from, to, pixels: (LEFT, RIGHT), logarithmic: self.x_logarithmic };
        for (index, panel) in self.panels.iter().enumerate() {
            let top = TOP + index as f64 * (PANEL + GAP);
            panel.draw(&mut svg, &x, top, index + 1 == self.panels.len());
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Panel {
    fn draw(&self, svg: &mut String, x: &Axis, top: f64, is_last: bool) {
        let bottom = top + PANEL;
        let (from, to) = self.y_range;
        let y = Axis { from, to, pixels: (bottom, top), logarithmic: self.y_logarithmic };
        for (value, named) in x.ticks() {
            let (at, colour) = (x.at(value), if named { "#cccccc" } else { "#eeeeee" });
            let _ = writeln!(svg, r##"<path d="M{at:.1} {top}V{bottom}" stroke="{colour}"/>"##);
            if named && is_last {
                let (below, text) = (bottom + 20.0, number(value));
                let _ =
                    writeln!(svg, r##"<text x="{at:.1}" y="{below}" text-anchor="middle">{text}</text>"##);
            }
        }
        for (value, named) in y.ticks() {
            let (at, colour) = (y.at(value), if named { "#cccccc" } else { "#eeeeee" });
            let _ = writeln!(svg, r##"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="{colour}"/>"##);
            if named {
                let (left, text, base) = (LEFT - 9.0, number(value), at + 5.0);
                let _ = writeln!(svg, r##"<text x="{left}" y="{base:.1}" text-anchor="end">{text}</text>"##);
            }
        }
        let _ = writeln!(
            svg,
            r##"<rect x="{LEFT}" y="{top}" width="{}" height="{PANEL}" fill="none" stroke="#666"/>
<text transform="translate(24 {}) rotate(-90)" text-anchor="middle">{}</text>"##,
            RIGHT - LEFT,
            top + PANEL / 2.0,
            escaped(&self.y_label),
        );
        for series in &self.series {
            series.draw(svg, x, &y);
        }
        self.legend(svg, top);
    }

    /// Names in a row above the panel, at its right end.
    fn legend(&self, svg: &mut String, top: f64) {
        let mut right = RIGHT - 4.0;
        for series in self.series.iter().rev().filter(|series| !series.name.is_empty()) {
            let (name, colour) = (escaped(&series.name), series.colour);
            let width = 7.6 * series.name.chars().count() as f64;
            let (base, middle, line) = (top - 8.0, top - 13.0, right - width - 28.0);
            let dash = if series.mark == Mark::Dashed { r#" stroke-dasharray="6 4""# } else { "" };
            let _ = writeln!(
                svg,
                r##"<path d="M{line:.1} {middle}h22" stroke="{colour}" stroke-width="3"{dash}/>
<text x="{:.1}" y="{base}">{name}</text>"##,
                line + 27.0
            );
            right = line - 16.0;
        }
    }
}

impl Series {
    fn draw(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let colour = self.colour;
        let shown = self.points.iter().filter(|(_, value)| value.is_finite());
        let places: Vec<(f64, f64)> = shown.map(|&(px, py)| (x.at(px), y.at(py))).collect();
        if self.mark == Mark::Bars {
            let width = (0.7 * (x.at(2.0) - x.at(1.0))).max(1.0);
            for (px, py) in places {
                let (left, height) = (px - width / 2.0, y.pixels.0 - py);
                let _ = writeln!(
                    svg,
                    r##"<rect x="{left:.1}" y="{py:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"##
                );
            }
            return;
        }
        let line: Vec<String> = places.iter().map(|(px, py)| format!("{px:.1},{py:.1}")).collect();
        let dash = if self.mark == Mark::Dashed { r#" stroke-dasharray="6 4""# } else { "" };
        if line.len() > 1 {
            let _ = writeln!(
                svg,
                r##"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"{dash}/>"##,
                line.join(" ")
            );
        }
        // A single point is no line.
        if self.mark == Mark::Dots || line.len() == 1 {
            for (px, py) in places {
                let _ = writeln!(svg, r##"<circle cx="{px:.1}" cy="{py:.1}" r="4" fill="{colour}"/>"##);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ticks() {
        let axis = |from, to, logarithmic| Axis { from, to, pixels: (0.0, 100.0), logarithmic };
        let named = |axis: &Axis| -> Vec<String> {
            axis.ticks().into_iter().filter(|tick| tick.1).map(|tick| number(tick.0)).collect()
        };
        assert_eq!(named(&axis(1.0, 10_000.0, true)), ["1", "10", "100", "1000", "10 000"]);
        assert_eq!(named(&axis(0.0, 1.0, false)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(named(&axis(0.0, 48.0, false)), ["0", "10", "20", "30", "40"]);
        assert_eq!(axis(1.0, 100.0, true).at(10.0), 50.0);
        assert_eq!(axis(1.0, 100.0, true).at(0.0), 0.0);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let points = vec![(1.0, 0.5), (2.0, f64::NAN), (3.0, 1.0)];
        let series = vec![Series { name: "a < b".into(), colour: "#000000", mark: Mark::Line, points }];
        let panel = Panel { y_label: "y".into(), y_range: (0.0, 1.0), y_logarithmic: false, series };
        let chart = Chart {
            title: "t & t".into(),
            subtitle: String::new(),
            x_label: "x".into(),
            x_range: (1.0, 10.0),
            x_logarithmic: true,
            panels: vec![panel],
        };
        let svg = chart.svg();
        assert!(!svg.contains("NaN") && svg.contains("a &lt; b") && svg.contains("t &amp; t"));
    }
}
