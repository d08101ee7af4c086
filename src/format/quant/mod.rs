//! The storage types of weights: a table of them, and a file for each.
//!
//! Each file describes its format as one [`Format`]: ggml's name and number, the size of a block,
//! the conversion between blocks and numbers, the planes of a matrix on the device, the packing of
//! rows into them, and the WGSL that unpacks them. `docs/adding.md` says how to add one.
//!
//! Layouts are those of ggml's `ggml-common.h`, and numbers those of its `enum ggml_type`. Each
//! `dequantise` follows `dequantize_row_*` of `ggml-quants.c` with the same order of `f32`
//! operations, so that results are equal to the bit. All numbers are little-endian; `d`, `m` and
//! `dmin` are f16. "Nibbles lo, hi" means that weights j and j + n/2 in a group of n share byte j,
//! with the first in its low half.

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
        /// The storage type of a tensor's weights.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DType {
            $($(#[$doc])* $name,)*
        }

        impl DType {
            /// All types.
            pub const ALL: [DType; [$(stringify!($name)),*].len()] = [$(DType::$name),*];

            /// The description of this type.
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
    /// 32 weights `d * level`, each with one of 16 unevenly spaced levels.
    IQ4NL = iq4_nl::FORMAT,
}
