//! How the products' work is split: between lanes that never meet, or over workgroups that share
//! their memory.

use super::input::Input;
use super::matrix::Part;
use crate::format::DType;
use crate::gpu::{Capabilities, Constant, Needs, StorageKind, Strategy};
use crate::kernels::moe::experts::Experts;
use crate::kernels::moe::group_choices::GroupChoices;

/// One product to be split.
struct Split<'a> {
    w: &'a Part,
    tokens: usize,
    /// The file in `shaders/lib` for what follows the product.
    finish: &'static str,
    /// A lane computes rows r and r + rows / 2.
    paired: bool,
    /// Row groups that a token is multiplied with.
    rows4: usize,
    /// Tokens that are computed each for itself, because they chose experts of their own.
    alone: u32,
    /// Groups of tokens that chose the same expert.
    groups: Option<u32>,
}

impl Input {
    fn split<'a>(&self, w: &'a Part, finish: &'static str, paired: bool) -> Split<'a> {
        let alone = if self.experts.is_some() { self.tokens as u32 } else { 1 };
        let grouped = self.experts.as_ref().filter(|experts| experts.groups.is_some());
        let groups = grouped.map(|experts| experts.tiles(w, self.tokens) as u32);
        Split { w, tokens: self.tokens, finish, paired, rows4: self.rows(w) / 4, alone, groups }
    }

    /// Whether the strategies for one token are taken.
    fn one(&self, can: &Capabilities) -> bool {
        let grouped = |experts: &Experts| experts.groups.is_some() && !can.deterministic;
        self.tokens == 1 || self.experts.as_ref().is_some_and(|experts| !grouped(experts))
    }

    /// Tiles and splits of other sizes.
    pub(in crate::kernels) fn sizes(
        &self,
        w: &Part,
        finish: &'static str,
        paired: bool,
        can: &Capabilities,
    ) -> Vec<Strategy> {
        let split = self.split(w, finish, paired);
        if can.deterministic {
            return vec![];
        }
        if self.one(can) {
            let mut all =
                split.and_with_halves(split.subgroup_columns_of(can.subgroup.clamp(8, 32), 4), can);
            let splits = [4, 8, 16, 32].map(|splits| split.workgroup_columns_of(splits));
            all.extend(
                splits.into_iter().flat_map(|strategy| split.and_with_halves(strategy, can)),
            );
            let usual = [split.subgroup_columns(can), split.workgroup_columns()];
            all.retain(|size| usual.iter().all(|usual| usual.constants != size.constants));
            return all;
        }
        let usual = if self.tokens <= 32 { 64 } else { 32 };
        let broadcast = [16].map(|tokens| split.matmul(true, tokens));
        let own = [4].map(|tokens| split.matmul(false, tokens));
        let tiles = if split.groups.is_none() { split.workgroup_tiles(usual) } else { vec![] };
        broadcast.into_iter().chain(own).chain(tiles).collect()
    }

    /// `paired`: a lane computes rows r and r + rows / 2.
    pub(in crate::kernels) fn strategies(
        &self,
        w: &Part,
        finish: &'static str,
        paired: bool,
        can: &Capabilities,
    ) -> Vec<Strategy> {
        let split = self.split(w, finish, paired);
        // Tokens with experts of their own are all summed like one.
        if can.deterministic && self.experts.is_none() {
            // One token is summed like many: a tile's width does not change the order in which a
            // token is summed.
            let tokens = if self.tokens == 1 { 1 } else { 8 };
            let lanes = vec![split.matmul(true, tokens), split.matmul(false, tokens)];
            return can.allowed(lanes, split.workgroup_tiles(32));
        }
        if self.one(can) {
            let lanes = vec![split.matvec(true), split.matvec(false)];
            let mut columns = split.and_with_halves(split.subgroup_columns(can), can);
            columns.extend(split.and_with_halves(split.workgroup_columns(), can));
            can.allowed(lanes, columns)
        } else {
            let lanes = vec![split.matmul(true, 8), split.matmul(false, 8)];
            let tile = if self.tokens <= 32 || split.groups.is_some() { 32 } else { 64 };
            can.allowed(lanes, split.workgroup_tiles(tile))
        }
    }
}

impl Split<'_> {
    /// Pairs of row groups, each one lane's.
    fn pairs(&self) -> usize {
        self.rows4.div_ceil(2)
    }

    fn constants(&self, more: &[(&'static str, Constant)]) -> Vec<(&'static str, Constant)> {
        let mut all = vec![
            ("FORMAT", Constant::Word(self.w.format())),
            ("FINISH", Constant::Word(self.finish)),
            ("PAIRED", Constant::Switch(self.paired)),
        ];
        all.extend_from_slice(more);
        all
    }

    /// What is smaller, weights or activations, is gone over again and again, and should stay in
    /// the caches.
    fn tokens_first(&self) -> bool {
        // Groups that follow one another have experts of their own.
        self.groups.is_none()
            && self.w.tensor.bytes() > 4 * (self.tokens * self.w.planes.blocks * 32) as u64
    }

    fn tiles(&self, tokens: u32) -> [u32; 3] {
        let row_tiles = self.pairs().div_ceil(8) as u32;
        let token_tiles = match self.groups {
            None => (self.tokens as u32).div_ceil(tokens),
            Some(groups) => groups * (GroupChoices::GROUP as u32 / tokens),
        };
        if self.tokens_first() { [token_tiles, row_tiles, 1] } else { [row_tiles, token_tiles, 1] }
    }

    fn matvec(&self, broadcast: bool) -> Strategy {
        Strategy {
            name: if broadcast { "matvec_broadcast" } else { "matvec" },
            entry: "matvec",
            source: include_str!("../../../shaders/linear/matvec.wgsl"),
            constants: self.constants(&[("BROADCAST", Constant::Switch(broadcast))]),
            // A workgroup of eight lanes lies within one subgroup only where subgroups have eight
            // lanes or more.
            needs: Needs::lanes(8).subgroup(if broadcast { 8 } else { 0 }),
            grid: [self.pairs().div_ceil(8) as u32, self.alone, 1],
        }
    }

    /// Tiles of `tokens` tokens: fewer than eight, or whole eights.
    fn matmul(&self, broadcast: bool, tokens: u32) -> Strategy {
        Strategy {
            name: if broadcast { "matmul_broadcast" } else { "matmul" },
            entry: "matmul",
            source: include_str!("../../../shaders/linear/matmul.wgsl"),
            constants: self.constants(&[
                ("BROADCAST", Constant::Switch(broadcast)),
                ("TOKENS", Constant::Count(tokens)),
                ("TOKENS_FIRST", Constant::Switch(self.tokens_first())),
                ("GROUPED", Constant::Switch(self.groups.is_some())),
                ("GROUP", Constant::Count(GroupChoices::GROUP as u32)),
                ("LOADS", Constant::Count(if broadcast { tokens.div_ceil(8) } else { tokens })),
            ]),
            needs: Needs::lanes(8).subgroup(if broadcast { 8 } else { 0 }).private_state(),
            grid: self.tiles(tokens),
        }
    }

    fn workgroup_columns(&self) -> Strategy {
        // Not measured on a GPU: more lanes a workgroup only where each still has a few blocks.
        self.workgroup_columns_of(if self.w.planes.blocks > 32 { 16 } else { 8 })
    }

    fn workgroup_columns_of(&self, splits: u32) -> Strategy {
        let lanes = 8 * splits;
        Strategy {
            name: "matvec_workgroup_columns",
            entry: "matvec_workgroup_columns",
            source: include_str!("../../../shaders/linear/matvec_workgroup_columns.wgsl"),
            constants: self.constants(&[("SPLITS", Constant::Count(splits))]),
            needs: Needs::lanes(lanes).workgroup_bytes(lanes * (16 + 16 + 4)),
            grid: [self.pairs().div_ceil(8) as u32, self.alone, 1],
        }
    }

    fn subgroup_columns(&self, can: &Capabilities) -> Strategy {
        // A subgroup of eight has two splits, so that there is something to shuffle.
        let span = can.subgroup.clamp(8, 32);
        self.subgroup_columns_of(span, if span == 8 { 4 } else { 8 })
    }

    fn subgroup_columns_of(&self, span: u32, slots: u32) -> Strategy {
        let lanes = 128;
        Strategy {
            name: "matvec_subgroup_columns",
            entry: "matvec_subgroup_columns",
            source: include_str!("../../../shaders/linear/matvec_subgroup_columns.wgsl"),
            constants: self
                .constants(&[("SPAN", Constant::Count(span)), ("SLOTS", Constant::Count(slots))]),
            needs: Needs::lanes(lanes)
                .workgroup_bytes(lanes / span * slots * (16 + 16 + 4))
                .subgroup(8),
            grid: [self.pairs().div_ceil(slots as usize) as u32, self.alone, 1],
        }
    }

    /// After the same strategy on weights that are read as halves, where they are some in a buffer.
    fn and_with_halves(&self, strategy: Strategy, can: &Capabilities) -> Vec<Strategy> {
        let name = match strategy.entry {
            "matvec_subgroup_columns" => "matvec_subgroup_columns_half",
            _ => "matvec_workgroup_columns_half",
        };
        let halves = self.w.dtype() == DType::F16 && can.storage == StorageKind::Buffer;
        let read = halves.then(|| strategy.clone().of_halves(name));
        read.into_iter().chain([strategy]).collect()
    }

    /// Tiles of `tokens` tokens, a multiple of 32. Weights that are halves may stay so in workgroup
    /// memory, exactly and in half of it, whatever storage they come from.
    fn workgroup_tiles(&self, tokens: u32) -> Vec<Strategy> {
        let halves = (self.w.dtype() == DType::F16).then(|| {
            let tile = self.workgroup_tile(tokens, true);
            tile.of_halves("matmul_workgroup_tile_half")
        });
        halves.into_iter().chain([self.workgroup_tile(tokens, false)]).collect()
    }

    fn workgroup_tile(&self, tokens: u32, half: bool) -> Strategy {
        let weights = if half { 4 << 10 } else { 8 << 10 };
        Strategy {
            name: "matmul_workgroup_tile",
            entry: "matmul_workgroup_tile",
            source: include_str!("../../../shaders/linear/matmul_workgroup_tile.wgsl"),
            constants: self.constants(&[
                ("TOKENS", Constant::Count(tokens)),
                ("TOKENS_FIRST", Constant::Switch(self.tokens_first())),
                ("GROUPED", Constant::Switch(self.groups.is_some())),
                ("GROUP", Constant::Count(GroupChoices::GROUP as u32)),
                ("HALF", Constant::Switch(half)),
            ]),
            needs: Needs::lanes(2 * tokens).workgroup_bytes(weights + 128 * tokens),
            grid: self.tiles(tokens),
        }
    }
}
