//! The types weights are stored in: the table of them, and a file for each.
//!
//! A file holds all that is particular to its format, as one [`Format`]: ggml's name and number,
//! the size of a block, how a block becomes numbers and how numbers become a block, which planes a
//! matrix has on the device and how a row is packed into them, and the WGSL that unpacks it there.
//! `docs/adding.md` says how to add one.
//!
//! Layouts are those of ggml's `ggml-common.h`, numbers those of its `enum ggml_type`. Each
//! `dequantise` follows `dequantize_row_*` of `ggml-quants.c` in the same order of `f32`
//! operations, so that it agrees to the bit. All numbers are little-endian; `d`, `m` and `dmin` are
//! f16. "Nibbles lo, hi" means that weights j and j + n/2 of a group of n share byte j, the first
//! in its low half.

mod floats;
mod format;
mod iq4_nl;
mod k_quants;
mod nibbles;
mod planes;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod rounding;

pub use format::{Format, Layout, Share, Wgsl};
pub use planes::{PackedRow, Plane, Planes, pack_row};

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident = $format:path,)*) => {
        /// How the weights of a tensor are stored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DType {
            $($(#[$doc])* $name,)*
        }

        impl DType {
            /// Every type.
            pub const ALL: [DType; [$(stringify!($name)),*].len()] = [$(DType::$name),*];

            /// All that is particular to this type.
            pub const fn format(self) -> &'static Format {
                match self {
                    $(DType::$name => &$format,)*
                }
            }
        }
    };
}

formats! {
    /// 32-bit float.
    F32 = floats::F32,
    /// IEEE half precision.
    F16 = floats::F16,
    /// The upper half of an `F32`.
    BF16 = floats::BF16,
    /// 32 weights `d * (q - 8)`, q of 4 bits.
    Q4_0 = q4_0::FORMAT,
    /// 32 weights `d * q + m`, q of 4 bits.
    Q4_1 = q4_1::FORMAT,
    /// 32 weights `d * (q - 16)`, q of 5 bits.
    Q5_0 = q5_0::FORMAT,
    /// 32 weights `d * q + m`, q of 5 bits.
    Q5_1 = q5_1::FORMAT,
    /// 32 weights `d * q`, q of 8 bits, signed.
    Q8_0 = q8_0::FORMAT,
    /// 256 weights in 8 groups `d * scale * q - dmin * min`, q of 4 bits, scale and min of 6.
    Q4K = q4_k::FORMAT,
    /// 256 weights in 8 groups `d * scale * q - dmin * min`, q of 5 bits, scale and min of 6.
    Q5K = q5_k::FORMAT,
    /// 256 weights in 16 groups `d * scale * (q - 32)`, q of 6 bits, scale of 8, signed.
    Q6K = q6_k::FORMAT,
    /// 256 weights in 16 groups `d * scale * q - dmin * min`, q of 2 bits, scale and min of 4.
    Q2K = q2_k::FORMAT,
    /// 256 weights in 16 groups `d * scale * (q - 4)`, q of 3 bits, scale of 6, signed.
    Q3K = q3_k::FORMAT,
    /// 32 weights `d * level`, one of 16 uneven levels each.
    IQ4NL = iq4_nl::FORMAT,
}
