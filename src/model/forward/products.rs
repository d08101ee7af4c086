//! The building blocks of every layer: norms, and matrix products with biases, adapters and
//! activation functions.

use super::pass::Pass;
use crate::gpu::{Kernel, Tensor};
use crate::kernels::{Function, Input, Linear, Matmul, Norm, Part};
use crate::model::architecture::Norm as NormKind;
use crate::model::weights::{Gain, Projection};
use std::ops::Range;

impl Pass<'_> {
    /// norm(x) of all tokens, as the input of a product.
    pub(super) fn norm(&mut self, name: &str, x: &Tensor, norm: &Gain) -> Input {
        self.norm_rows(name, x, norm, 0..self.tokens)
    }

    /// norm(x) of the tokens in `rows`, as the input of a product. The product computes an RMSNorm
    /// while it reads x; a LayerNorm is a separate call.
    pub(super) fn norm_rows(
        &mut self,
        name: &str,
        x: &Tensor,
        norm: &Gain,
        rows: Range<usize>,
    ) -> Input {
        if self.model.config.architecture.norm == NormKind::Rms {
            let input = Input::normed(x, &norm.gain, self.model.config.norm_eps, rows.len());
            return Input { first_token: rows.start, ..input };
        }
        let (aside, tokens) = (&self.act.aside, rows.len());
        self.norm_to(name, x, norm, None, rows, aside);
        Input::plain(aside, tokens)
    }

    /// y = norm(x) (+ residual) of the tokens in `rows`, as a separate call.
    pub(super) fn norm_to(
        &mut self,
        name: &str,
        x: &Tensor,
        norm: &Gain,
        residual: Option<&Tensor>,
        rows: Range<usize>,
        y: &Tensor,
    ) {
        let config = &self.model.config;
        let kernel = Norm {
            x: x.clone(),
            gain: norm.gain.clone(),
            bias: norm.bias.clone(),
            residual: residual.cloned(),
            y: y.clone(),
            columns: config.hidden_size,
            eps: config.norm_eps,
            centred: config.architecture.norm == NormKind::Layer,
            first_token: rows.start,
            tokens: rows.len(),
        };
        self.push(name, kernel);
    }

    /// y = W · input (+ residual).
    pub(super) fn linear(
        &mut self,
        name: &str,
        input: Input,
        w: &Projection,
        residual: Option<&Tensor>,
        y: &Tensor,
    ) {
        self.project(name, input, w, |input, w, _| Matmul {
            input,
            w,
            residual: residual.cloned(),
            y: y.clone(),
        });
    }

    /// y = f(W · input).
    pub(super) fn linear_with(
        &mut self,
        function: Function,
        name: &str,
        input: Input,
        w: &Projection,
        y: &Tensor,
    ) {
        self.project(name, input, w, |input, w, first_row| Linear {
            input,
            w,
            first_row,
            function,
            y: y.clone(),
        });
    }

    /// y = stream + W · x, or stream + norm(W · x) in families that normalise a block's output.
    pub(super) fn add_to(
        &mut self,
        stream: &Tensor,
        name: &str,
        x: &Tensor,
        w: &Projection,
        post_norm: Option<&Gain>,
        y: &Tensor,
    ) {
        let input = Input::plain(x, self.tokens);
        let Some(norm) = post_norm else {
            return self.linear(name, input, w, Some(stream), y);
        };
        let aside = &self.act.aside;
        self.linear(name, input, w, None, aside);
        self.norm_to(&format!("{name}_norm"), aside, norm, Some(stream), 0..self.tokens, y);
    }

    /// W · input as one call for each part of W. `call` makes the kernel from the input with
    /// everything that adapters add, the part, and the index of its first row.
    pub(super) fn project<K: Kernel + 'static>(
        &mut self,
        name: &str,
        input: Input,
        w: &Projection,
        call: impl Fn(Input, Part, usize) -> K,
    ) {
        let input = self.low_rank(input.with_bias(w.bias.as_ref()), w);
        for (first_row, part) in w.parts() {
            self.push(name, call(input.clone(), part.clone(), first_row));
        }
    }

    /// The input with what adapters add to the product, B (A x), as a bias that differs for each
    /// token.
    fn low_rank(&mut self, input: Input, w: &Projection) -> Input {
        let Some(addition) = &w.addition else { return input };
        let act = self.act.low_rank.as_ref().expect("activations are made for the adapted model");
        // Labels are the matrices' own, which already name the layer.
        for w in addition.a.parts() {
            let input = input.clone().with_bias(None);
            self.recording.push(w.tensor.label(), identity(input, w, &act.low));
        }
        for w in addition.b.parts() {
            let low = Input::plain(&act.low, input.tokens).with_bias(input.bias.as_ref());
            self.recording.push(w.tensor.label(), identity(low, w, &act.added));
        }
        input.with_bias(Some(&act.added))
    }
}

/// y = W · input, for one part of W.
fn identity(input: Input, w: &Part, y: &Tensor) -> Linear {
    let (w, y) = (w.clone(), y.clone());
    Linear { input, first_row: w.first, w, function: Function::Identity, y }
}
