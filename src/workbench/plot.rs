//! A roofline chart (Williams et al. 2009) as SVG: operations a byte along, operations a second up, both logarithmic.

use super::roofs::Roofs;
use super::timing::Measurement;
use crate::gpu::StorageKind;
use std::fmt::Write;

const WIDTH: f64 = 1180.0;
/// The drawing area: left, top, right, bottom.
const AREA: [f64; 4] = [72.0, 64.0, 690.0, 596.0];
const LIST: f64 = 716.0;
const LINE: f64 = 17.0;

/// Colours that also colour-blind people tell apart (Okabe and Ito 2008), by kernel.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#444444"];

/// A logarithmic axis over whole powers of ten.
struct Axis {
    low: i32,
    high: i32,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (i32::MAX, i32::MIN);
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            low = low.min(value.log10().floor() as i32);
            high = high.max(value.log10().ceil() as i32);
        }
        if low > high {
            (low, high) = (0, 1);
        }
        Self { low, high: high.max(low + 1), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    fn ends(&self) -> [f64; 2] {
        [self.low, self.high].map(|power| 10f64.powi(power))
    }

    /// Powers of ten, and whether each is one or a multiple in between.
    fn ticks(&self) -> impl Iterator<Item = (f64, bool)> {
        let (low, high) = (self.low, self.high);
        (low..=high).flat_map(move |power| {
            let most = if power == high { 1 } else { 9 };
            (1..=most).map(move |n| (f64::from(n) * 10f64.powi(power), n == 1))
        })
    }
}

/// A number without needless digits.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.1 => format!("{value:.2}"),
        value => format!("{value}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The chart of `measurements`, which are those of `adapter` with tensors in `storage`. Shapes are numbered as in the list
/// beside it; the fastest strategy of a shape is a filled point, the others are rings. Calls without operations are left out.
pub fn roofline(measurements: &[Measurement], roofs: &Roofs, storage: StorageKind, adapter: &str) -> String {
    let shown: Vec<_> = measurements.iter().filter(|m| m.operations > 0 && m.bytes > 0).collect();
    let intensity = |m: &Measurement| m.operations as f64 / m.bytes as f64;
    let (bandwidth, peak) = (roofs.read_gb_per_s(storage), roofs.multiply_add_gflop_per_s);
    let ridge = peak / bandwidth;
    let [left, top, right, bottom] = AREA;
    let x = Axis::new(shown.iter().map(|m| intensity(m)).chain([ridge * 0.5, ridge * 2.0]), left, right);
    let y = Axis::new(shown.iter().map(|m| m.gflop_per_s).chain([peak * 1.2]), bottom, top);

    let mut shapes: Vec<&str> = vec![];
    let mut kernels: Vec<&str> = vec![];
    for m in &shown {
        if !shapes.contains(&&*m.shape) {
            shapes.push(&m.shape);
        }
        if !kernels.contains(&&*m.kernel) {
            kernels.push(&m.kernel);
        }
    }
    let colour = |m: &Measurement| {
        COLOURS[kernels.iter().position(|kernel| *kernel == m.kernel).unwrap_or(0) % COLOURS.len()]
    };
    let height = (bottom + 70.0).max(top + LINE * (shown.len() + shapes.len() + 3) as f64 * 0.92 + 30.0);

    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" width="{WIDTH}" height="{height:.0}" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#222">
<rect width="100%" height="100%" fill="#fff"/>
<text x="{left}" y="28" font-size="17" font-weight="bold">Kernels under the roof of {}</text>
<text x="{left}" y="47" fill="#555">median of timed runs; bytes and operations are those that a call needs, each operand once; tensors in {}s</text>
"##,
        escaped(adapter),
        match storage {
            StorageKind::Buffer => "buffer",
            StorageKind::Texture => "texture",
        }
    );
    grid(&mut svg, &x, &y);
    let roof = |at: f64| (bandwidth * at).min(peak);
    let [start, end] = x.ends();
    // Where memory limits, the roof may leave the chart at the bottom.
    let visible = start.max(y.ends()[0] / bandwidth);
    let points =
        [visible, ridge.max(visible), end].map(|at| format!("{:.1},{:.1}", x.at(at), y.at(roof(at))));
    let _ = writeln!(
        svg,
        r##"<polyline points="{}" fill="none" stroke="#222" stroke-width="2"/>"##,
        points.join(" ")
    );
    roof_labels(&mut svg, &x, &y, visible, ridge, bandwidth, peak);

    // The points of all are known before the first number finds its place.
    let fastest = |m: &Measurement| {
        shown.iter().filter(|other| other.shape == m.shape).all(|other| other.median_us >= m.median_us)
    };
    let places: Vec<_> = shown.iter().map(|m| (x.at(intensity(m)), y.at(m.gflop_per_s))).collect();
    let mut taken: Vec<[f64; 4]> =
        places.iter().map(|&(x, y)| [x - 5.0, y - 5.0, x + 5.0, y + 5.0]).collect();
    for (m, &(cx, cy)) in shown.iter().zip(&places) {
        let (colour, best) = (colour(m), fastest(m));
        let title = escaped(&format!("{}: {}, {} GFLOP/s", m.shape, m.strategy, number(m.gflop_per_s)));
        let fill = if best { colour } else { "#fff" };
        let _ = writeln!(
            svg,
            r##"<circle cx="{cx:.1}" cy="{cy:.1}" r="4.5" fill="{fill}" stroke="{colour}" stroke-width="1.5"><title>{title}</title></circle>"##
        );
        if best {
            let label = (shapes.iter().position(|shape| *shape == m.shape).unwrap_or(0) + 1).to_string();
            let (tx, ty) = place(&mut taken, cx, cy, &label);
            let _ = writeln!(
                svg,
                r##"<text x="{tx:.1}" y="{ty:.1}" font-size="11" text-anchor="middle" fill="{colour}">{label}</text>"##
            );
        }
    }
    list(&mut svg, &shown, &shapes, &colour, &fastest);
    svg.push_str("</svg>\n");
    svg
}

fn grid(svg: &mut String, x: &Axis, y: &Axis) {
    let [left, top, right, bottom] = AREA;
    for (value, whole) in x.ticks() {
        let (at, colour) = (x.at(value), if whole { "#c8c8c8" } else { "#eeeeee" });
        let _ = writeln!(svg, r##"<path d="M{at:.1} {top}V{bottom}" stroke="{colour}"/>"##);
        if whole {
            let _ = writeln!(
                svg,
                r##"<text x="{at:.1}" y="{}" text-anchor="middle">{}</text>"##,
                bottom + 18.0,
                number(value)
            );
        }
    }
    for (value, whole) in y.ticks() {
        let (at, colour) = (y.at(value), if whole { "#c8c8c8" } else { "#eeeeee" });
        let _ = writeln!(svg, r##"<path d="M{left} {at:.1}H{right}" stroke="{colour}"/>"##);
        if whole {
            let _ = writeln!(
                svg,
                r##"<text x="{}" y="{:.1}" text-anchor="end">{}</text>"##,
                left - 8.0,
                at + 4.0,
                number(value)
            );
        }
    }
    let (middle_x, middle_y) = ((left + right) / 2.0, (top + bottom) / 2.0);
    let _ = writeln!(
        svg,
        r##"<rect x="{left}" y="{top}" width="{}" height="{}" fill="none" stroke="#888"/>
<text x="{middle_x}" y="{}" text-anchor="middle">arithmetic intensity, operations a byte</text>
<text transform="translate(22 {middle_y}) rotate(-90)" text-anchor="middle">speed, GFLOP/s</text>"##,
        right - left,
        bottom - top,
        bottom + 42.0
    );
}

fn roof_labels(svg: &mut String, x: &Axis, y: &Axis, visible: f64, ridge: f64, bandwidth: f64, peak: f64) {
    let [_, _, right, _] = AREA;
    let _ = writeln!(
        svg,
        r##"<text x="{}" y="{:.1}" text-anchor="end" font-weight="bold">{} GFLOP/s multiply-add</text>"##,
        right - 8.0,
        y.at(peak) - 8.0,
        number(peak)
    );
    if ridge > visible {
        let ends = [visible, ridge].map(|at| (x.at(at), y.at(bandwidth * at)));
        let [(x0, y0), (x1, y1)] = ends;
        let angle = (y1 - y0).atan2(x1 - x0).to_degrees();
        let (cx, cy) = (x0 + 0.5 * (x1 - x0), y0 + 0.5 * (y1 - y0));
        let _ = writeln!(
            svg,
            r##"<text transform="translate({cx:.1} {cy:.1}) rotate({angle:.1}) translate(0 -8)" text-anchor="middle" font-weight="bold">{} GB/s read</text>"##,
            number(bandwidth)
        );
    }
}

/// A place for a number near a point, where nothing is yet if there is such a place.
fn place(taken: &mut Vec<[f64; 4]>, x: f64, y: f64, label: &str) -> (f64, f64) {
    let half = 3.3 * label.len() as f64;
    let offsets = [(0.0, -8.0), (9.0 + half, 4.0), (-9.0 - half, 4.0), (0.0, 17.0)];
    let near = offsets.iter().flat_map(|&(dx, dy)| [(dx, dy), (dx * 1.8 + 6.0, dy * 1.8)]);
    let area = |(dx, dy): (f64, f64)| [x + dx - half, y + dy - 10.0, x + dx + half, y + dy];
    let free = |area: &[f64; 4]| {
        taken.iter().all(|other| {
            area[0] >= other[2] || other[0] >= area[2] || area[1] >= other[3] || other[1] >= area[3]
        })
    };
    let (dx, dy) = near.into_iter().find(|&offset| free(&area(offset))).unwrap_or(offsets[0]);
    taken.push(area((dx, dy)));
    (x + dx, y + dy)
}

/// Shapes by number, and under each its strategies.
fn list<'a>(
    svg: &mut String,
    shown: &[&'a Measurement],
    shapes: &[&str],
    colour: &impl Fn(&'a Measurement) -> &'static str,
    fastest: &impl Fn(&'a Measurement) -> bool,
) {
    let mut y = AREA[1] + 4.0;
    let columns = [LIST + 300.0, LIST + 362.0, LIST + 440.0];
    let cell = |svg: &mut String, at: usize, y: f64, text: &str| {
        let _ = writeln!(svg, r##"<text x="{}" y="{y:.1}" text-anchor="end">{text}</text>"##, columns[at]);
    };
    for (at, heading) in ["GFLOP/s", "GB/s", "of the roof"].iter().enumerate() {
        cell(svg, at, y - 12.0, heading);
    }
    for (index, shape) in shapes.iter().enumerate() {
        y += LINE;
        let _ = writeln!(
            svg,
            r##"<text x="{LIST}" y="{y:.1}" font-weight="bold">{}  {}</text>"##,
            index + 1,
            escaped(shape)
        );
        for m in shown.iter().filter(|m| m.shape == *shape) {
            y += LINE * 0.85;
            let (colour, fill) = (colour(m), if fastest(m) { colour(m) } else { "#fff" });
            let _ = writeln!(
                svg,
                r##"<circle cx="{}" cy="{:.1}" r="4" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>
<text x="{}" y="{y:.1}">{}</text>"##,
                LIST + 22.0,
                y - 4.0,
                LIST + 34.0,
                escaped(&m.strategy)
            );
            cell(svg, 0, y, &number(m.gflop_per_s));
            cell(svg, 1, y, &number(m.gb_per_s));
            cell(svg, 2, y, &format!("{:.0} %", m.share_of_roof * 100.0));
        }
    }
}
