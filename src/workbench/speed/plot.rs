//! A roofline chart (Williams et al. 2009) as SVG: operations per byte on the horizontal axis,
//! operations per second on the vertical, both logarithmic.

use super::roofs::Roofs;
use super::timing::Measurement;
use crate::gpu::StorageKind;
use crate::plot::{Axis, escaped, label};
use std::fmt::Write;

const WIDTH: f64 = 1180.0;
const LEFT: f64 = 72.0;
const TOP: f64 = 64.0;
const RIGHT: f64 = 690.0;
const LIST: f64 = 716.0;
const LINE: f64 = 17.0;

/// Colours for kernels that colour-blind people can distinguish (Okabe and Ito 2008).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#444444"];

/// A number with three digits, or as many as its integer part has.
fn number(value: f64) -> String {
    let digits = 2 - value.max(1e-4).log10().floor() as i32;
    format!("{value:.*}", digits.max(0) as usize)
}

/// The chart of `measurements` on `adapter` with tensors in `storage`. Shapes are numbered as in
/// the list next to the chart; the fastest strategy of a shape is a filled point, and the others
/// are rings. Calls without operations, which only move bytes, are ticks below the chart, on an
/// axis of bytes per second.
pub fn roofline(
    measurements: &[Measurement],
    roofs: &Roofs,
    storage: StorageKind,
    adapter: &str,
) -> String {
    let bytes = |m: &Measurement| m.bytes.unwrap_or(0);
    let shown: Vec<_> = measurements.iter().filter(|m| m.operations > 0 && bytes(m) > 0).collect();
    let moved: Vec<_> = measurements.iter().filter(|m| m.operations == 0 && bytes(m) > 0).collect();
    let intensity = |m: &Measurement| m.operations as f64 / bytes(m) as f64;
    let (bandwidth, peak) = (roofs.read_gb_per_s(storage), roofs.multiply_add_gflop_per_s);
    let ridge = peak / bandwidth;
    let mut shapes: Vec<&str> = vec![];
    let mut kernels: Vec<&str> = vec![];
    for m in shown.iter().chain(&moved) {
        if !shapes.contains(&&*m.shape) {
            shapes.push(&m.shape);
        }
        if !kernels.contains(&&*m.kernel) {
            kernels.push(&m.kernel);
        }
    }
    let list_height =
        LINE * (1.0 * shapes.len() as f64 + 0.85 * (shown.len() + moved.len()) as f64);
    let bottom = TOP + list_height.max(532.0);
    let height = bottom + if moved.is_empty() { 60.0 } else { 118.0 };
    let x = Axis::around(shown.iter().map(|m| intensity(m)).chain([ridge]), (LEFT, RIGHT));
    let y = Axis::around(shown.iter().map(|m| m.gflop_per_s).chain([peak]), (bottom, TOP));

    let colour = |m: &Measurement| {
        COLOURS[kernels.iter().position(|kernel| *kernel == m.kernel).unwrap_or(0) % COLOURS.len()]
    };

    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" width="{WIDTH}" height="{height:.0}" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#222">
<rect width="100%" height="100%" fill="#fff"/>
<text x="{LEFT}" y="28" font-size="17" font-weight="bold">Kernels under the roof of {}</text>
<text x="{LEFT}" y="47" fill="#555">median of timed runs; bytes and operations are those that a call needs, each operand once; tensors in {}s</text>
"##,
        escaped(adapter),
        match storage {
            StorageKind::Buffer => "buffer",
            StorageKind::Texture => "texture",
        }
    );
    grid(&mut svg, &x, &y);
    let roof = |at: f64| (bandwidth * at).min(peak);
    // Where memory is the limit, the roof may leave the chart at the bottom.
    let visible = x.from.max(y.from / bandwidth);
    let points = [visible, ridge.max(visible), x.to]
        .map(|at| format!("{:.1},{:.1}", x.at(at), y.at(roof(at))));
    let _ = writeln!(
        svg,
        r##"<polyline points="{}" fill="none" stroke="#222" stroke-width="2"/>"##,
        points.join(" ")
    );
    roof_labels(&mut svg, &x, &y, visible, ridge, bandwidth, peak);

    // All points are placed before the first number.
    let fastest = |m: &Measurement| {
        let of_shape = measurements.iter().filter(|other| other.shape == m.shape);
        of_shape.into_iter().all(|other| other.median_us >= m.median_us)
    };
    let places: Vec<_> = shown.iter().map(|m| (x.at(intensity(m)), y.at(m.gflop_per_s))).collect();
    let mut taken: Vec<[f64; 4]> =
        places.iter().map(|&(x, y)| [x - 5.0, y - 5.0, x + 5.0, y + 5.0]).collect();
    let mut order: Vec<_> = shown.iter().zip(&places).collect();
    // Rings are drawn below points.
    order.sort_by_key(|(m, _)| fastest(m));
    for (m, (cx, cy)) in &order {
        let (colour, best) = (colour(m), fastest(m));
        let title =
            escaped(&format!("{}: {}, {} GFLOP/s", m.shape, m.strategy, number(m.gflop_per_s)));
        let fill = if best { colour } else { "#fff" };
        let _ = writeln!(
            svg,
            r##"<circle cx="{cx:.1}" cy="{cy:.1}" r="4.5" fill="{fill}" stroke="{colour}" stroke-width="1.5"><title>{title}</title></circle>"##
        );
    }
    for (m, &(cx, cy)) in order.into_iter().filter(|(m, _)| fastest(m)) {
        let colour = colour(m);
        let label =
            (shapes.iter().position(|shape| *shape == m.shape).unwrap_or(0) + 1).to_string();
        let (tx, ty) = place(&mut taken, cx, cy, &label);
        let _ = writeln!(
            svg,
            r##"<path d="M{cx:.1} {cy:.1}L{tx:.1} {:.1}" stroke="{colour}" stroke-width="0.6"/>
<text x="{tx:.1}" y="{ty:.1}" text-anchor="middle" font-weight="bold" fill="{colour}" stroke="#fff" stroke-width="3" paint-order="stroke">{label}</text>"##,
            ty - 4.0
        );
    }
    let all: Vec<_> = shown.iter().chain(&moved).copied().collect();
    rug(&mut svg, &moved, bottom + 66.0, bandwidth, &shapes, &colour);
    list(&mut svg, &all, &shapes, &colour, &fastest);
    svg.push_str("</svg>\n");
    svg
}

/// Ticks for calls without operations, by bytes per second, numbered as in the list, with a line
/// for the roof of reading.
fn rug<'a>(
    svg: &mut String,
    moved: &[&'a Measurement],
    top: f64,
    bandwidth: f64,
    shapes: &[&str],
    colour: &impl Fn(&'a Measurement) -> &'static str,
) {
    if moved.is_empty() {
        return;
    }
    let rates = moved.iter().map(|m| m.gb_per_s.unwrap_or(0.0));
    let axis = Axis::around(rates.chain([bandwidth]), (LEFT, RIGHT));
    let base = top + 22.0;
    let _ = writeln!(svg, r##"<path d="M{LEFT} {base}H{RIGHT}" stroke="#888"/>"##);
    for (value, _) in axis.ticks().into_iter().filter(|(_, named)| *named) {
        let _ = writeln!(
            svg,
            r##"<text x="{:.1}" y="{}" text-anchor="middle">{}</text>"##,
            axis.at(value),
            base + 15.0,
            label(value)
        );
    }
    let at = axis.at(bandwidth);
    let _ = writeln!(svg, r##"<path d="M{at:.1} {top}V{base}" stroke="#222" stroke-width="2"/>"##);
    for m in moved {
        let (at, colour) = (axis.at(m.gb_per_s.unwrap_or(0.0)), colour(m));
        let number = shapes.iter().position(|shape| *shape == m.shape).unwrap_or(0) + 1;
        let title = escaped(&format!(
            "{number}  {}: {}, {} GB/s",
            m.shape,
            m.strategy,
            self::number(m.gb_per_s.unwrap_or(0.0))
        ));
        let _ = writeln!(
            svg,
            r##"<path d="M{at:.1} {}V{base}" stroke="{colour}" stroke-width="1.5"><title>{title}</title></path>"##,
            top + 8.0
        );
    }
    let _ = writeln!(
        svg,
        r##"<text x="{}" y="{}" text-anchor="middle">without operations, GB/s; the black line is reading</text>"##,
        (LEFT + RIGHT) / 2.0,
        base + 30.0
    );
}

fn grid(svg: &mut String, x: &Axis, y: &Axis) {
    let bottom = y.pixels.0;
    for (value, named) in x.ticks() {
        let (at, colour) = (x.at(value), if named { "#c8c8c8" } else { "#eeeeee" });
        let _ = writeln!(svg, r##"<path d="M{at:.1} {TOP}V{bottom}" stroke="{colour}"/>"##);
        if named {
            let _ = writeln!(
                svg,
                r##"<text x="{at:.1}" y="{}" text-anchor="middle">{}</text>"##,
                bottom + 18.0,
                label(value)
            );
        }
    }
    for (value, named) in y.ticks() {
        let (at, colour) = (y.at(value), if named { "#c8c8c8" } else { "#eeeeee" });
        let _ = writeln!(svg, r##"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="{colour}"/>"##);
        if named {
            let _ = writeln!(
                svg,
                r##"<text x="{}" y="{:.1}" text-anchor="end">{}</text>"##,
                LEFT - 8.0,
                at + 4.0,
                label(value)
            );
        }
    }
    let (middle_x, middle_y) = ((LEFT + RIGHT) / 2.0, (TOP + bottom) / 2.0);
    let _ = writeln!(
        svg,
        r##"<rect x="{LEFT}" y="{TOP}" width="{}" height="{}" fill="none" stroke="#888"/>
<text x="{middle_x}" y="{}" text-anchor="middle">arithmetic intensity, operations a byte</text>
<text transform="translate(22 {middle_y}) rotate(-90)" text-anchor="middle">speed, GFLOP/s</text>"##,
        RIGHT - LEFT,
        bottom - TOP,
        bottom + 42.0
    );
}

fn roof_labels(
    svg: &mut String,
    x: &Axis,
    y: &Axis,
    visible: f64,
    ridge: f64,
    bandwidth: f64,
    peak: f64,
) {
    let _ = writeln!(
        svg,
        r##"<text x="{}" y="{:.1}" text-anchor="end" font-weight="bold">{} GFLOP/s multiply-add</text>"##,
        RIGHT - 8.0,
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

/// A position for a number near a point, free of other labels if possible.
fn place(taken: &mut Vec<[f64; 4]>, x: f64, y: f64, label: &str) -> (f64, f64) {
    let half = 4.0 * label.len() as f64;
    // Directions around the point in rings of growing radius.
    let near = (0..5).flat_map(|ring| {
        let (distance, directions) = (13.0 + 11.0 * f64::from(ring), 8 + 4 * ring);
        (0..directions).map(move |at| {
            let angle = f64::from(at) / f64::from(directions) * std::f64::consts::TAU;
            (distance * 1.15 * angle.sin(), 4.0 - distance * angle.cos())
        })
    });
    let area = |(dx, dy): (f64, f64)| [x + dx - half, y + dy - 11.0, x + dx + half, y + dy + 1.0];
    let free = |area: &[f64; 4]| {
        taken.iter().all(|other| {
            area[0] >= other[2] || other[0] >= area[2] || area[1] >= other[3] || other[1] >= area[3]
        })
    };
    let (dx, dy) = near.into_iter().find(|&offset| free(&area(offset))).unwrap_or((0.0, -9.0));
    taken.push(area((dx, dy)));
    (x + dx, y + dy)
}

/// The list of shapes by number, each with its strategies.
fn list<'a>(
    svg: &mut String,
    shown: &[&'a Measurement],
    shapes: &[&str],
    colour: &impl Fn(&'a Measurement) -> &'static str,
    fastest: &impl Fn(&'a Measurement) -> bool,
) {
    let mut y = TOP + 4.0;
    let columns = [LIST + 300.0, LIST + 362.0, LIST + 440.0];
    let cell = |svg: &mut String, at: usize, y: f64, text: &str| {
        let _ = writeln!(
            svg,
            r##"<text x="{}" y="{y:.1}" text-anchor="end">{text}</text>"##,
            columns[at]
        );
    };
    for (at, heading) in ["GFLOP/s", "GB/s", "of the roof"].iter().enumerate() {
        cell(svg, at, y - 12.0, heading);
    }
    for (index, shape) in shapes.iter().enumerate() {
        y += LINE;
        let _ = writeln!(
            svg,
            r##"<text x="{LIST}" y="{y:.1}" font-weight="bold">{}  {} <tspan font-weight="normal" fill="#777">{}</tspan></text>"##,
            index + 1,
            escaped(shape),
            escaped(shown.iter().find(|m| m.shape == *shape).map_or("", |m| &m.kernel))
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
            cell(svg, 1, y, &number(m.gb_per_s.unwrap_or(0.0)));
            cell(svg, 2, y, &format!("{:.0} %", m.share_of_roof.unwrap_or(0.0) * 100.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that computes and one that only moves bytes: a point and a tick.
    #[test]
    fn every_call_is_on_the_chart() {
        let call = |shape, operations| {
            let least =
                super::super::timing::Least { bytes: Some(8000), operations, seconds: Some(1e-6) };
            Measurement::new([shape, "k", "s"], &[1e-6], &least)
        };
        let roofs = Roofs {
            read_buffer_gb_per_s: 10.0,
            read_texture_gb_per_s: None,
            copy_buffer_gb_per_s: 10.0,
            copy_texture_gb_per_s: None,
            multiply_add_gflop_per_s: 100.0,
            multiply_add_f16_gflop_per_s: None,
            dispatch_us: 1.0,
            dependent_dispatch_us: 1.0,
            workgroup_barrier_us: 1.0,
        };
        let chart = |calls: &[Measurement]| roofline(calls, &roofs, StorageKind::Buffer, "here");
        let both = chart(&[call("computes", 8000), call("moves", 0)]);
        for part in [
            "<title>computes: s, ",
            "<title>2  moves: s, 8.00 GB/s",
            "2  moves",
            "without operations",
        ] {
            assert!(both.contains(part), "{part}: {both}");
        }
        assert!(!chart(&[call("computes", 8000)]).contains("without operations"));
    }

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in
            [(118.5, "118"), (13.36, "13.4"), (2.0, "2.00"), (0.0249, "0.0249"), (0.0, "0.000000")]
        {
            assert_eq!(number(value), text);
        }
    }
}
