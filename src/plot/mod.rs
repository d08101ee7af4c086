//! What charts as SVG have in common: axes with round ticks, and text.

mod axis;

pub(crate) use axis::{Axis, label};

/// `text` as it stands in SVG, between tags or in a quoted attribute.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
