//! Loads the dense feed-forward part of a layer from the tensors of a file or folder.

use super::architecture::FeedForward;
use super::config::Config;
use super::loader::{Loader, Rows};
use super::rows::{Slice, lengthened};
use super::weights::{Dense, Projection};
use crate::Result;
use crate::gpu::Tensor;
use crate::kernels::TILE;
use std::sync::Arc;

impl Loader<'_> {
    /// The feed-forward part of layer `index`, which all tokens go through.
    pub(super) fn dense(&self, index: usize) -> Result<Dense> {
        let Config { architecture, hidden_size, intermediate_size, .. } = *self.config;
        let name = |part: &str| format!("blk.{index}.{part}");
        let weight = |part: &str| format!("blk.{index}.{part}.weight");
        let gate_up = match (architecture.feed_forward, architecture.fused) {
            (FeedForward::Plain, _) => self.reserve(
                &name("ffn_up"),
                self.rows(&weight("ffn_up"), intermediate_size, hidden_size)?,
                TILE,
            )?,
            (_, false) => {
                let sources = [
                    self.rows(&weight("ffn_gate"), intermediate_size, hidden_size)?,
                    self.rows(&weight("ffn_up"), intermediate_size, hidden_size)?,
                ];
                self.pair(&name("ffn_gate_up"), sources)?
            }
            (_, true) => {
                let both = self.rows(&weight("ffn_up"), 2 * intermediate_size, hidden_size)?;
                let half = |rows| Arc::new(Slice { source: Arc::clone(&both), rows }) as Rows;
                self.pair(
                    &name("ffn_gate_up"),
                    [half(0..intermediate_size), half(intermediate_size..2 * intermediate_size)],
                )?
            }
        };
        let down = self.padded(self.rows(&weight("ffn_down"), hidden_size, intermediate_size)?);
        Ok(Dense {
            gate_up: Projection::new(gate_up, self.up_bias(index)?),
            down: Projection::new(
                self.reserve(&weight("ffn_down"), down, TILE)?,
                self.bias(&name("ffn_down"), hidden_size, self.config.ffn_bias)?,
            ),
        })
    }

    /// Pads rows with zeros to the length of the feed-forward activations, a whole number of tiles.
    pub(super) fn padded(&self, rows: Rows) -> Rows {
        let columns = rows.columns();
        let padded = columns.next_multiple_of(64);
        if columns.next_multiple_of(32) == padded {
            rows
        } else {
            Arc::new(lengthened(&*rows, padded))
        }
    }

    /// The biases of gate and up, aligned with their rows: each is padded to whole tiles.
    fn up_bias(&self, index: usize) -> Result<Option<Tensor>> {
        let Config { architecture, intermediate_size, ffn_bias, .. } = *self.config;
        let name = |part: &str| format!("blk.{index}.{part}");
        if !ffn_bias || architecture.feed_forward == FeedForward::Plain {
            return self.bias(&name("ffn_up"), intermediate_size, ffn_bias);
        }
        let mut both = vec![];
        for part in ["ffn_gate", "ffn_up"] {
            both.extend(self.floats(&format!("{}.bias", name(part)), intermediate_size)?);
            both.resize(both.len().next_multiple_of(TILE), 0.0);
        }
        self.vector(&name("ffn_gate_up"), both).map(Some)
    }
}
