//! The kernel calls that compute the next parameters from parameters and gradients.

use crate::Result;
use crate::gpu::{Device, Recording, Tensor};
use crate::kernels::{Adamw, Sgd, SquareSum, Step};
use crate::train::model::parameters::Parameters;
use serde::{Deserialize, Serialize};

/// The rule by which a gradient changes a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// AdamW with decoupled weight decay: beta 1, beta 2 and epsilon.
    Adamw(f32, f32, f32),
    /// Stochastic gradient descent with this momentum.
    Sgd(f32),
}

impl OptimizerKind {
    /// Number of moment tensors for each parameter.
    fn moments(self) -> usize {
        match self {
            Self::Adamw(..) => 2,
            Self::Sgd(_) => 1,
        }
    }

    /// 1 / (1 - beta^step) for both moments.
    pub(in crate::train) fn corrections(self, step: u64) -> [f32; 2] {
        let of = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(step as f64))) as f32;
        match self {
            Self::Adamw(b1, b2, _) => [of(b1), of(b2)],
            Self::Sgd(_) => [1.0; 2],
        }
    }
}

/// Moments of all parameters, and the tensors for the next step's values.
pub struct Optimizer {
    /// Mean gradients and mean squared gradients for AdamW, or momentum for SGD: one set of tensors
    /// each.
    pub moments: Vec<Parameters>,
    /// The tensors that receive the next parameters and moments.
    next: Vec<Parameters>,
    method: OptimizerKind,
    decay: f32,
    limit: Option<f32>,
}

impl Optimizer {
    /// Creates moments of zero for `parameters`. Gradients whose total norm exceeds `limit` are
    /// scaled down to it.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub fn new(
        device: &Device,
        parameters: &Parameters,
        method: OptimizerKind,
        decay: f32,
        limit: Option<f32>,
    ) -> Result<Self> {
        let moments =
            (0..method.moments()).map(|_| parameters.like(device)).collect::<Result<Vec<_>>>()?;
        let now = std::iter::once(parameters).chain(&moments);
        let next = now.map(|now| now.successors(device)).collect::<Result<_>>()?;
        Ok(Self { moments, next, method, decay, limit })
    }

    /// Records the step of all parameters that have a gradient; `gradients` are pairs of parameter
    /// and gradient.
    ///
    /// # Errors
    /// When the device cannot hold the sums.
    pub fn record(
        &self,
        device: &Device,
        recording: &mut Recording,
        parameters: &Parameters,
        gradients: &[(Tensor, Tensor)],
        clock: &Tensor,
        schedule: &Tensor,
    ) -> Result<()> {
        let of = |w: &Tensor| {
            gradients
                .iter()
                .find(|(parameter, _)| parameter.id() == w.id())
                .map(|(_, gradient)| gradient)
        };
        let known: Vec<_> = parameters.tensors().iter().map(of).collect();
        let mut clip = None;
        if let Some(limit) = self.limit {
            let mut sum = None;
            for &gradient in known.iter().flatten() {
                let total = Tensor::uniform(device, "squares", 4)?;
                recording.push(
                    "clip",
                    SquareSum { x: gradient.clone(), base: sum, total: total.clone() },
                );
                sum = Some(total);
            }
            clip = sum.map(|sum| (sum, limit));
        }
        let step = Step { clock: clock.clone(), schedule: schedule.clone(), clip };
        for (index, (name, w)) in parameters.iter().enumerate() {
            let Some(g) = known[index].cloned() else { continue };
            let (step, w, decay) = (step.clone(), w.clone(), self.decay);
            let moment = |set: usize| self.moments[set].tensors()[index].clone();
            let next = |set: usize| self.next[set].tensors()[index].clone();
            match self.method {
                OptimizerKind::Adamw(b1, b2, eps) => {
                    let (m, v, next) = (moment(0), moment(1), [next(0), next(1), next(2)]);
                    recording
                        .push(name, Adamw { step, w, g, m, v, next, betas: [b1, b2], eps, decay });
                }
                OptimizerKind::Sgd(momentum) => {
                    let (m, next) = (moment(0), [next(0), next(1)]);
                    recording.push(name, Sgd { step, w, g, m, next, momentum, decay });
                }
            }
        }
        Ok(())
    }

    /// The copies that follow a step: the next parameters and moments over the current ones, except
    /// for tensors that were updated in place.
    pub fn copies<'a>(
        &'a self,
        parameters: &'a Parameters,
    ) -> impl Iterator<Item = (&'a Tensor, &'a Tensor)> {
        let sets = std::iter::once(parameters).chain(&self.moments);
        let pairs = self
            .next
            .iter()
            .zip(sets)
            .flat_map(|(next, now)| next.tensors().iter().zip(now.tensors()));
        pairs.filter(|(next, now)| next.id() != now.id())
    }
}
