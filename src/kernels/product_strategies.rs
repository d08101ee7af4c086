//! How the products' work is split: between lanes that never meet, or over workgroups that share their memory.

use super::experts::Experts;
use super::group_choices::GroupChoices;
use super::input::Input;
use super::matrix::Part;
use crate::gpu::{Capabilities, Constant, Needs, Strategy};

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
    pub(super) fn sizes(
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
            let mut all = vec![split.subgroup_columns_of(can.subgroup.clamp(8, 32), 4)];
            all.extend([4, 8, 16, 32].map(|splits| split.workgroup_columns_of(splits)));
            let usual = [split.subgroup_columns(can), split.workgroup_columns()];
            all.retain(|size| usual.iter().all(|usual| usual.constants != size.constants));
            return all;
        }
        let usual = if self.tokens <= 32 { 64 } else { 32 };
        let broadcast = [16].map(|tokens| split.matmul(true, tokens));
        let own = [4].map(|tokens| split.matmul(false, tokens));
        let tile = (split.groups.is_none()).then(|| split.workgroup_tile(usual));
        broadcast.into_iter().chain(own).chain(tile).collect()
    }

    /// `paired`: a lane computes rows r and r + rows / 2.
    pub(super) fn strategies(
        &self,
        w: &Part,
        finish: &'static str,
        paired: bool,
        can: &Capabilities,
    ) -> Vec<Strategy> {
        let split = self.split(w, finish, paired);
        // Tokens with experts of their own are all summed like one.
        if can.deterministic && self.experts.is_none() {
            // One token is summed like many: a tile's width does not change the order in which a token is summed.
            let tokens = if self.tokens == 1 { 1 } else { 8 };
            let lanes = vec![split.matmul(true, tokens), split.matmul(false, tokens)];
            return can.allowed(lanes, vec![split.workgroup_tile(32)]);
        }
        match self.one(can) {
            true => can.allowed(
                vec![split.matvec(true), split.matvec(false)],
                vec![split.subgroup_columns(can), split.workgroup_columns()],
            ),
            false => {
                let lanes = vec![split.matmul(true, 8), split.matmul(false, 8)];
                let tile = if self.tokens <= 32 || split.groups.is_some() { 32 } else { 64 };
                can.allowed(lanes, vec![split.workgroup_tile(tile)])
            }
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

    /// What is smaller, weights or activations, is gone over again and again, and should stay in the caches.
    fn tokens_first(&self) -> bool {
        // Groups that follow one another have experts of their own.
        self.groups.is_none() && self.w.tensor.bytes() > 4 * (self.tokens * self.w.planes.blocks * 32) as u64
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
            source: include_str!("../../shaders/matvec.wgsl"),
            constants: self.constants(&[("BROADCAST", Constant::Switch(broadcast))]),
            // A workgroup of eight lanes lies within one subgroup only where subgroups have eight lanes or more.
            needs: Needs::lanes(8).subgroup(if broadcast { 8 } else { 0 }),
            grid: [self.pairs().div_ceil(8) as u32, self.alone, 1],
        }
    }

    /// Tiles of `tokens` tokens: fewer than eight, or whole eights.
    fn matmul(&self, broadcast: bool, tokens: u32) -> Strategy {
        Strategy {
            name: if broadcast { "matmul_broadcast" } else { "matmul" },
            entry: "matmul",
            source: include_str!("../../shaders/matmul.wgsl"),
            constants: self.constants(&[
                ("BROADCAST", Constant::Switch(broadcast)),
                ("TOKENS", Constant::Count(tokens)),
                ("TOKENS_FIRST", Constant::Switch(self.tokens_first())),
                ("GROUPED", Constant::Switch(self.groups.is_some())),
                ("GROUP", Constant::Count(GroupChoices::GROUP as u32)),
                ("LOADS", Constant::Count(if broadcast { tokens.div_ceil(8) } else { tokens })),
            ]),
            needs: Needs::lanes(8).subgroup(if broadcast { 8 } else { 0 }),
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
            source: include_str!("../../shaders/matvec_workgroup_columns.wgsl"),
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
            source: include_str!("../../shaders/matvec_subgroup_columns.wgsl"),
            constants: self.constants(&[("SPAN", Constant::Count(span)), ("SLOTS", Constant::Count(slots))]),
            needs: Needs::lanes(lanes).workgroup_bytes(lanes / span * slots * (16 + 16 + 4)).subgroup(8),
            grid: [self.pairs().div_ceil(slots as usize) as u32, self.alone, 1],
        }
    }

    /// Tiles of `tokens` tokens, a multiple of 32.
    fn workgroup_tile(&self, tokens: u32) -> Strategy {
        Strategy {
            name: "matmul_workgroup_tile",
            entry: "matmul_workgroup_tile",
            source: include_str!("../../shaders/matmul_workgroup_tile.wgsl"),
            constants: self.constants(&[
                ("TOKENS", Constant::Count(tokens)),
                ("TOKENS_FIRST", Constant::Switch(self.tokens_first())),
                ("GROUPED", Constant::Switch(self.groups.is_some())),
                ("GROUP", Constant::Count(GroupChoices::GROUP as u32)),
            ]),
            needs: Needs::lanes(2 * tokens).workgroup_bytes((8 << 10) + 128 * tokens),
            grid: self.tiles(tokens),
        }
    }
}
