//! Copies batches on the device.

use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// Copies B sequences of T token ids from the data, with the ids that follow each of their last N
/// as targets.
#[derive(Clone)]
pub struct SampleBatch {
    /// Token ids of the whole data [W padded to fours]; an id with the top bit set is not used as a
    /// target.
    pub data: Tensor,
    /// Start indices of the sequences, B for each value of the clock; a start past the end gives an
    /// empty sequence.
    pub starts: Tensor,
    /// Word 0: the row of `starts` to use.
    pub clock: Tensor,
    /// Ids [B * T], uniform.
    pub ids: Tensor,
    /// Targets [B * N], uniform.
    pub targets: Tensor,
    /// Number of ids in the data W.
    pub words: usize,
    /// Number of sequences B.
    pub batch: usize,
}

impl SampleBatch {
    /// Stands for an absent id.
    pub const NONE: u32 = u32::MAX;

    fn tokens(&self) -> usize {
        self.ids.len() / self.batch
    }

    fn kept(&self) -> usize {
        self.targets.len() / self.batch
    }
}

impl Kernel for SampleBatch {
    fn name(&self) -> &'static str {
        "sample_batch"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("data", &self.data),
            Operand::read("starts", &self.starts),
            Operand::read("clock", &self.clock),
            Operand::write("ids", &self.ids),
            Operand::write("targets", &self.targets),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("words", self.words as u32),
            Parameter::U32("batch", self.batch as u32),
            Parameter::U32("tokens", self.tokens() as u32),
            Parameter::U32("kept", self.kept() as u32),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let texels = self.ids.len().div_ceil(4) + self.targets.len().div_ceil(4);
        let all = vec![Strategy {
            name: "sample_batch",
            entry: "sample_batch",
            source: include_str!("../../../shaders/training/sample_batch.wgsl"),
            constants: vec![],
            needs: Needs::lanes(32),
            grid: [texels.div_ceil(32) as u32, 1, 1],
        }];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let words = (self.ids.len() + self.targets.len()) as u64;
        Cost { read: 4 * words, written: 4 * words, operations: 0 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (tokens, kept) = (self.tokens(), self.kept());
        let (data, starts) = (memory.u32(&self.data), memory.u32(&self.starts));
        let first = memory.u32(&self.clock)[0] as usize * self.batch;
        let word = |sequence: usize, place: usize| {
            let at = starts[first + sequence] as usize + place;
            if at < self.words { data[at] } else { Self::NONE }
        };
        for (t, id) in memory.u32_mut(&self.ids).iter_mut().enumerate() {
            let found = word(t / tokens, t % tokens);
            *id = if found == Self::NONE { 0 } else { found & (u32::MAX >> 1) };
        }
        for (t, target) in memory.u32_mut(&self.targets).iter_mut().enumerate() {
            let found = word(t / kept, tokens - kept + t % kept + 1);
            *target = if found >> 31 == 1 { Self::NONE } else { found };
        }
    }
}

impl Checked for SampleBatch {
    fn cases(cases: &mut Cases) -> Result<()> {
        // A sequence at the start, one cut off by the end, and one past it; the second step reads
        // them.
        let starts = [9, 9, 9, 0, 27, Self::NONE, 0, 0];
        let word = |n: u32| (n * 3 % 50) | if n % 4 == 1 { 1 << 31 } else { 0 };
        for (tokens, kept) in [(4, 1), (7, 7), (3, 2)] {
            let kernel = Self {
                data: cases.integers("data", &(0..36).map(word).collect::<Vec<_>>())?,
                starts: cases.integers("starts", &starts)?,
                clock: cases.words("clock", &[1])?,
                ids: cases.words("ids", &vec![0; 3 * tokens])?,
                targets: cases.words("targets", &vec![0; 3 * kept])?,
                words: 33,
                batch: 3,
            };
            cases.add(format!("{tokens} tokens, {kept} targets"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training sample_batch", |cases| {
            let equations = 97 * 97;
            let words: Vec<u32> = (0..4 * equations).map(|n| n % grok::WORDS as u32).collect();
            let starts: Vec<u32> =
                (0..grok::BATCH as u32).map(|n| 4 * (n * 7919 % equations)).collect();
            Ok(Self {
                words: words.len(),
                data: cases.integers("data", &words)?,
                starts: cases.integers("starts", &starts)?,
                clock: cases.words("clock", &[0])?,
                ids: cases.words("ids", &[0; grok::ROWS])?,
                targets: cases.words("targets", &[0; grok::BATCH])?,
                batch: grok::BATCH,
            })
        });
    }
}
