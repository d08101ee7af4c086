//! Renders figures as PNG files.

use crate::files::write_whole;
use crate::{Error, Result};
use resvg::{tiny_skia, usvg};
use std::path::Path;

/// Pixels per SVG unit: about 300 per printed inch at the width of a column.
const SCALE: f32 = 2.0;

/// Renders an SVG figure into a PNG file with a bundled font, so that machines without fonts draw
/// the same picture.
///
/// # Errors
/// When the SVG cannot be read or the file cannot be written.
pub fn write_png(svg: &str, path: &Path) -> Result<()> {
    let failed = |what: String| Error::damaged(path, format!("cannot draw it: {what}"));
    let mut options = usvg::Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let family =
        fonts.faces().next().and_then(|face| face.families.first().map(|family| family.0.clone()));
    if let Some(family) = family {
        fonts.set_sans_serif_family(family);
    }
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| failed(error.to_string()))?;
    let size =
        tree.size().to_int_size().scale_by(SCALE).ok_or_else(|| failed("it is empty".into()))?;
    let mut pixels = tiny_skia::Pixmap::new(size.width(), size.height())
        .ok_or_else(|| failed("it is too large".into()))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    let png = pixels.encode_png().map_err(|error| failed(error.to_string()))?;
    write_whole(path, png)
}
