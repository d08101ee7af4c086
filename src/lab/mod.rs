//! Experiments with trained networks, and their figures.

mod chart;
mod export;
mod figures;
mod fourier;
mod grok;
#[cfg(feature = "figures")]
mod png;
mod table;

pub use chart::{Chart, Dot, Mark, Panel, Series};
pub use export::export;
pub use figures::{Passed, curves, fourier_chart, learning_curve, sweep_chart};
pub use fourier::{REPRESENTATIONS, spectrum};
pub use grok::{Grok, GrokSettings, Row};
#[cfg(feature = "figures")]
pub use png::write_png;
pub use table::{Operation, Table};
