//! A kernel made of what a test says, or another kernel with something changed.

use kaiwu::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tolerance,
};
use std::sync::Arc;

/// What a device may take.
type Strategies = dyn Fn(&Capabilities) -> Vec<Strategy> + Send + Sync;

/// See the functions that make one. Without more said, it has no strategies, costs nothing, and its
/// reference does nothing.
pub struct Fake {
    name: &'static str,
    operands: Vec<Operand>,
    parameters: Vec<Parameter>,
    strategies: Box<Strategies>,
    sizes: Vec<Strategy>,
    iterations: Option<usize>,
    cost: Box<dyn Fn(usize) -> Cost + Send + Sync>,
    tolerance: Tolerance,
    reference: Box<dyn Fn(&mut HostMemory) + Send + Sync>,
}

impl Fake {
    /// A kernel with these operands, and a parameter `unused`.
    pub fn new(name: &'static str, operands: Vec<Operand>) -> Self {
        Self {
            name,
            operands,
            parameters: vec![Parameter::U32("unused", 0)],
            strategies: Box::new(|_| vec![]),
            sizes: vec![],
            iterations: None,
            cost: Box::new(|_| Cost::default()),
            tolerance: Tolerance::default(),
            reference: Box::new(|_| ()),
        }
    }

    /// A kernel that does what another one does.
    pub fn like(kernel: &Arc<dyn Kernel>) -> Self {
        let [strategies, cost, reference] = [(); 3].map(|()| Arc::clone(kernel));
        Self {
            name: kernel.name(),
            operands: kernel.operands(),
            parameters: kernel.parameters(),
            strategies: Box::new(move |can| strategies.strategies(can)),
            sizes: vec![],
            iterations: None,
            cost: Box::new(move |context| cost.cost(context)),
            tolerance: kernel.tolerance(),
            reference: Box::new(move |memory| reference.reference(memory)),
        }
    }

    /// With these parameters.
    pub fn with_parameters(self, parameters: Vec<Parameter>) -> Self {
        Self { parameters, ..self }
    }

    /// With these strategies on every adapter.
    pub fn with_strategies(self, strategies: Vec<Strategy>) -> Self {
        Self { strategies: Box::new(move |_| strategies.clone()), ..self }
    }

    /// With each strategy changed.
    pub fn with_change(self, change: fn(Strategy) -> Strategy) -> Self {
        let strategies = self.strategies;
        let changed = move |can: &Capabilities| strategies(can).into_iter().map(change).collect();
        Self { strategies: Box::new(changed), ..self }
    }

    /// With more strategies for the tuner to try.
    pub fn with_sizes(self, sizes: Vec<Strategy>) -> Self {
        Self { sizes, ..self }
    }

    /// With loops of so many iterations at most, whatever the strategy.
    pub fn with_iterations(self, iterations: usize) -> Self {
        Self { iterations: Some(iterations), ..self }
    }

    /// With this reference.
    pub fn with_reference(
        self,
        reference: impl Fn(&mut HostMemory) + Send + Sync + 'static,
    ) -> Self {
        Self { reference: Box::new(reference), ..self }
    }
}

impl Kernel for Fake {
    fn name(&self) -> &'static str {
        self.name
    }
    fn operands(&self) -> Vec<Operand> {
        self.operands.clone()
    }
    fn parameters(&self) -> Vec<Parameter> {
        self.parameters.clone()
    }
    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        (self.strategies)(can)
    }
    fn sizes(&self, _: &Capabilities) -> Vec<Strategy> {
        self.sizes.clone()
    }
    fn iterations(&self, _: &Strategy) -> Option<usize> {
        self.iterations
    }
    fn cost(&self, context: usize) -> Cost {
        (self.cost)(context)
    }
    fn tolerance(&self) -> Tolerance {
        self.tolerance
    }
    fn reference(&self, memory: &mut HostMemory) {
        (self.reference)(memory);
    }
}

/// One workgroup of a shader whose only entry point has the strategy's name.
pub fn strategy(name: &'static str, source: &'static str) -> Strategy {
    Strategy {
        name,
        entry: name,
        source,
        constants: vec![],
        needs: Needs::lanes(8),
        grid: [1, 1, 1],
    }
}
