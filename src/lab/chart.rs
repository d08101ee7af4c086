//! Line charts as SVG: panels one below another, for the screen and for print.

use crate::plot::{Axis, escaped, label};
use std::fmt::Write;

/// How the points of a series are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A line through the points.
    Line,
    /// A vertical bar for each point.
    Bars,
}

/// A single marker, in the shape and colour of its series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    /// Horizontal coordinate.
    pub x: f64,
    /// Vertical coordinate.
    pub y: f64,
    /// Whether it is drawn as an outline: a bound rather than a value.
    pub open: bool,
}

/// Named points with one style.
pub struct Series {
    /// The name, shown in the legend.
    pub name: String,
    /// Colour, dashes and shape of markers: no two of the first six styles share any of them.
    pub style: usize,
    /// How the points are drawn.
    pub mark: Mark,
    /// x and y, in order of x.
    pub points: Vec<(f64, f64)>,
    /// Single markers in addition to the points.
    pub dots: Vec<Dot>,
}

/// A plot with two axes.
pub struct Panel {
    /// Label of the vertical axis, with its unit.
    pub y_label: String,
    /// Smallest and largest value of the vertical axis.
    pub y_range: (f64, f64),
    /// Whether the vertical axis is logarithmic.
    pub y_logarithmic: bool,
    /// A horizontal line at this value, and its label.
    pub limit: Option<(f64, String)>,
    /// The lines or bars in the panel.
    pub series: Vec<Series>,
}

/// A figure: panels that share their horizontal axis.
pub struct Chart {
    /// Shown in bold above the panels.
    pub title: String,
    /// Shown in grey below the title; may have several lines.
    pub subtitle: String,
    /// Label of the horizontal axis, with its unit.
    pub x_label: String,
    /// Smallest and largest value of the horizontal axis.
    pub x_range: (f64, f64),
    /// Whether the horizontal axis is logarithmic.
    pub x_logarithmic: bool,
    /// Labelled values of the horizontal axis; round numbers if this is empty.
    pub x_ticks: Vec<(f64, String)>,
    /// The panels, from top to bottom.
    pub panels: Vec<Panel>,
}

/// Colours that colour-blind people can distinguish (Okabe and Ito 2008), and dashes for print
/// without colour.
const STYLES: [(&str, &str); 6] = [
    ("#d55e00", ""),
    ("#0072b2", "9 5"),
    ("#009e73", "2 4"),
    ("#cc79a7", "12 4 2 4"),
    ("#b8860b", "16 6"),
    ("#444444", "5 3"),
];

const WIDTH: f64 = 820.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 796.0;
/// Pixels above the first panel: title, subtitle and the legend.
const TOP: f64 = 108.0;
/// Pixels for each further line of the subtitle.
const LINE: f64 = 20.0;
const PANEL: f64 = 270.0;
const GAP: f64 = 34.0;

impl Chart {
    /// The figure as SVG.
    pub fn svg(&self) -> String {
        let panels = self.panels.len() as f64;
        let top = TOP + LINE * self.subtitle.lines().count().saturating_sub(1) as f64;
        let bottom = top + panels * PANEL + (panels - 1.0) * GAP;
        let height = bottom + 58.0;
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="Helvetica, Arial, sans-serif" font-size="15" fill="#111">
<rect width="100%" height="100%" fill="#fff"/>
<text x="{LEFT}" y="30" font-size="20" font-weight="bold">{}</text>
<text x="{}" y="{}" text-anchor="middle">{}</text>
"##,
            escaped(&self.title),
            (LEFT + RIGHT) / 2.0,
            bottom + 46.0,
            escaped(&self.x_label),
        );
        for (index, line) in self.subtitle.lines().enumerate() {
            let (base, line) = (53.0 + LINE * index as f64, escaped(line));
            let _ = writeln!(svg, r##"<text x="{LEFT}" y="{base}" fill="#444">{line}</text>"##);
        }
        let (from, to) = self.x_range;
        let x = Axis { from, to, pixels: (LEFT, RIGHT), logarithmic: self.x_logarithmic };
        let ticks = match &self.x_ticks[..] {
            [] => x.ticks().into_iter().map(|(at, named)| (at, named.then(|| label(at)))).collect(),
            given => given.iter().map(|(at, name)| (*at, Some(name.clone()))).collect::<Vec<_>>(),
        };
        for (index, panel) in self.panels.iter().enumerate() {
            let top = top + index as f64 * (PANEL + GAP);
            panel.draw(&mut svg, &x, &ticks, top, index + 1 == self.panels.len());
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Panel {
    fn draw(
        &self,
        svg: &mut String,
        x: &Axis,
        ticks: &[(f64, Option<String>)],
        top: f64,
        is_last: bool,
    ) {
        let bottom = top + PANEL;
        let (from, to) = self.y_range;
        let y = Axis { from, to, pixels: (bottom, top), logarithmic: self.y_logarithmic };
        for (value, name) in ticks {
            let (at, colour) = (x.at(*value), if name.is_some() { "#cccccc" } else { "#eeeeee" });
            let _ = writeln!(svg, r##"<path d="M{at:.1} {top}V{bottom}" stroke="{colour}"/>"##);
            if let Some(name) = name.as_ref().filter(|_| is_last) {
                let (below, text) = (bottom + 20.0, escaped(name));
                let _ = writeln!(
                    svg,
                    r##"<text x="{at:.1}" y="{below}" text-anchor="middle">{text}</text>"##
                );
            }
        }
        for (value, named) in y.ticks() {
            let (at, colour) = (y.at(value), if named { "#cccccc" } else { "#eeeeee" });
            let _ = writeln!(svg, r##"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="{colour}"/>"##);
            if named {
                let (left, text, base) = (LEFT - 9.0, label(value), at + 5.0);
                let _ = writeln!(
                    svg,
                    r##"<text x="{left}" y="{base:.1}" text-anchor="end">{text}</text>"##
                );
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
        if let Some((value, name)) = &self.limit {
            let (at, name) = (y.at(*value), escaped(name));
            let (right, base) = (RIGHT - 6.0, at - 7.0);
            let _ = writeln!(
                svg,
                r##"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="#666"/>
<text x="{right}" y="{base:.1}" text-anchor="end" fill="#444">{name}</text>"##
            );
        }
        for series in &self.series {
            series.draw(svg, x, &y);
        }
        self.legend(svg, top);
    }

    /// The legend: names in a row above the right end of the panel, each with a sample.
    fn legend(&self, svg: &mut String, top: f64) {
        let mut right = RIGHT - 4.0;
        for series in self.series.iter().rev().filter(|series| !series.name.is_empty()) {
            let name = escaped(&series.name);
            let width = 7.6 * series.name.chars().count() as f64;
            let (base, middle, line) = (top - 8.0, top - 13.0, right - width - 46.0);
            series.stroke(svg, &format!("M{line:.1} {middle}h40"));
            if !series.dots.is_empty() {
                series.marker(svg, (line + 20.0, middle), false);
            }
            let _ = writeln!(svg, r##"<text x="{:.1}" y="{base}">{name}</text>"##, line + 46.0);
            right = line - 18.0;
        }
    }
}

impl Series {
    fn style(&self) -> (&'static str, &'static str) {
        STYLES[self.style % STYLES.len()]
    }

    /// A path in the series' colour, with its dashes unless it draws bars.
    fn stroke(&self, svg: &mut String, path: &str) {
        let (colour, dashes) = self.style();
        let (width, dashes) = if self.mark == Mark::Bars { (9.0, "") } else { (2.4, dashes) };
        let dashes = if dashes.is_empty() {
            String::new()
        } else {
            format!(r#" stroke-dasharray="{dashes}""#)
        };
        let _ = writeln!(
            svg,
            r##"<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"{dashes}/>"##
        );
    }

    /// A circle, square, triangle, diamond, inverted triangle or cross, by style.
    fn marker(&self, svg: &mut String, (x, y): (f64, f64), open: bool) {
        let (colour, _) = self.style();
        let shape = match self.style % STYLES.len() {
            0 => "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
            1 => "m-4.5 -4.5h9v9h-9z",
            2 => "m0 -6l5.5 9.5h-11z",
            3 => "m0 -6.5l5 6.5l-5 6.5l-5 -6.5z",
            4 => "m0 6l5.5 -9.5h-11z",
            _ => "m-2 -6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
        };
        let fill = if open { "#fff" } else { colour };
        let _ = writeln!(
            svg,
            r##"<path d="M{x:.1} {y:.1}{shape}" fill="{fill}" stroke="{colour}" stroke-width="1.6"/>"##
        );
    }

    fn draw(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let shown = self.points.iter().filter(|(_, value)| value.is_finite());
        let places: Vec<(f64, f64)> = shown.map(|&(px, py)| (x.at(px), y.at(py))).collect();
        if self.mark == Mark::Bars {
            let width = (0.7 * (x.at(2.0) - x.at(1.0))).max(1.0);
            for (px, py) in places {
                let (left, height, colour) = (px - width / 2.0, y.pixels.0 - py, self.style().0);
                let _ = writeln!(
                    svg,
                    r##"<rect x="{left:.1}" y="{py:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"##
                );
            }
            return;
        }
        match places[..] {
            [] => {}
            // A line needs more than a single point.
            [one] => self.marker(svg, one, false),
            [(px, py), ref rest @ ..] => {
                let rest: String =
                    rest.iter().map(|(px, py)| format!("L{px:.1} {py:.1}")).collect();
                self.stroke(svg, &format!("M{px:.1} {py:.1}{rest}"));
            }
        }
        for dot in &self.dots {
            self.marker(svg, (x.at(dot.x), y.at(dot.y)), dot.open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(series: Vec<Series>) -> String {
        let y_range = (0.0, 1.0);
        let limit = Some((0.5, "half".into()));
        let panel = Panel { y_label: "y".into(), y_range, y_logarithmic: false, limit, series };
        let chart = Chart {
            title: "t & t".into(),
            subtitle: "one\ntwo".into(),
            x_label: "x".into(),
            x_range: (1.0, 10.0),
            x_logarithmic: true,
            x_ticks: vec![(3.0, "three".into())],
            panels: vec![panel],
        };
        chart.svg()
    }

    fn series(name: &str, style: usize) -> Series {
        let points = vec![(1.0, 0.5), (2.0, f64::NAN), (3.0, 1.0)];
        let dots = [true, false].map(|open| Dot { x: 2.0, y: 0.25, open }).to_vec();
        Series { name: name.into(), style, mark: Mark::Line, points, dots }
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let svg = chart(vec![series("a < b", 0)]);
        assert!(!svg.contains("NaN") && svg.contains("a &lt; b") && svg.contains("t &amp; t"));
        for text in [">one<", ">two<", ">three<", ">half<"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
    }

    /// Without the colours, no two series look alike: neither their lines nor their markers.
    #[test]
    fn series_differ_in_black_and_white() {
        let looks = |style| {
            let grey = chart(vec![series("", style)]).replace(STYLES[style].0, "black");
            grey.lines().filter(|line| line.contains("black")).map(String::from).collect::<Vec<_>>()
        };
        let all: Vec<_> = (0..STYLES.len()).map(looks).collect();
        for (index, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 3, "a line and two markers: {one:?}");
            assert_ne!(one[1], one[2], "an open marker is not filled");
            for other in &all[..index] {
                assert!(one.iter().zip(other).all(|(line, others)| line != others), "{one:?}");
            }
        }
    }
}
