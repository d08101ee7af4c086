//! The types weights are stored in, with ggml's names, numbers and block sizes.
//!
//! A quantised row is a sequence of blocks; a block holds [`DType::block_len`] consecutive weights
//! of one row in [`DType::block_bytes`] bytes, scales included. Layouts: ggml's `ggml-common.h`;
//! numbers: `enum ggml_type`.

use std::fmt;

/// How the weights of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an `F32`.
    BF16,
    /// 32 weights `d * (q - 8)`, q of 4 bits.
    Q4_0,
    /// 32 weights `d * q + m`, q of 4 bits.
    Q4_1,
    /// 32 weights `d * (q - 16)`, q of 5 bits.
    Q5_0,
    /// 32 weights `d * q + m`, q of 5 bits.
    Q5_1,
    /// 32 weights `d * q`, q of 8 bits, signed.
    Q8_0,
    /// 256 weights in 8 groups `d * scale * q - dmin * min`, q of 4 bits, scale and min of 6.
    Q4K,
    /// 256 weights in 8 groups `d * scale * q - dmin * min`, q of 5 bits, scale and min of 6.
    Q5K,
    /// 256 weights in 16 groups `d * scale * (q - 32)`, q of 6 bits, scale of 8, signed.
    Q6K,
    /// 256 weights in 16 groups `d * scale * q - dmin * min`, q of 2 bits, scale and min of 4.
    Q2K,
    /// 256 weights in 16 groups `d * scale * (q - 4)`, q of 3 bits, scale of 6, signed.
    Q3K,
    /// 32 weights `d * level`, one of 16 uneven levels each.
    IQ4NL,
}

impl DType {
    /// Every type.
    pub const ALL: [DType; 14] = [
        DType::F32,
        DType::F16,
        DType::BF16,
        DType::Q4_0,
        DType::Q4_1,
        DType::Q5_0,
        DType::Q5_1,
        DType::Q8_0,
        DType::Q4K,
        DType::Q5K,
        DType::Q6K,
        DType::Q2K,
        DType::Q3K,
        DType::IQ4NL,
    ];

    /// The one table: name, ggml number, weights in a block, bytes in a block.
    const fn row(self) -> (&'static str, u32, usize, usize) {
        match self {
            DType::F32 => ("F32", 0, 1, 4),
            DType::F16 => ("F16", 1, 1, 2),
            DType::BF16 => ("BF16", 30, 1, 2),
            DType::Q4_0 => ("Q4_0", 2, 32, 2 + 16),
            DType::Q4_1 => ("Q4_1", 3, 32, 2 + 2 + 16),
            DType::Q5_0 => ("Q5_0", 6, 32, 2 + 4 + 16),
            DType::Q5_1 => ("Q5_1", 7, 32, 2 + 2 + 4 + 16),
            DType::Q8_0 => ("Q8_0", 8, 32, 2 + 32),
            DType::Q4K => ("Q4_K", 12, 256, 2 + 2 + 12 + 128),
            DType::Q5K => ("Q5_K", 13, 256, 2 + 2 + 12 + 32 + 128),
            DType::Q6K => ("Q6_K", 14, 256, 128 + 64 + 16 + 2),
            DType::Q2K => ("Q2_K", 10, 256, 16 + 64 + 2 + 2),
            DType::Q3K => ("Q3_K", 11, 256, 32 + 64 + 12 + 2),
            DType::IQ4NL => ("IQ4_NL", 20, 32, 2 + 16),
        }
    }

    /// The name GGUF tools print, such as `Q4_K`.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The number of the type in a GGUF tensor table.
    pub const fn ggml_id(self) -> u32 {
        self.row().1
    }

    /// Consecutive weights of a row in one block: 1 for floats, else 32 or 256.
    pub const fn block_len(self) -> usize {
        self.row().2
    }

    /// Bytes of one block.
    pub const fn block_bytes(self) -> usize {
        self.row().3
    }

    /// Bytes of `elements` weights; `None` if they are not whole blocks or the size does not fit 64
    /// bits.
    pub const fn bytes_for(self, elements: u64) -> Option<u64> {
        if !elements.is_multiple_of(self.block_len() as u64) {
            return None;
        }
        (elements / self.block_len() as u64).checked_mul(self.block_bytes() as u64)
    }

    /// The type with this number in a GGUF tensor table, if it is supported; else see
    /// [`ggml_type_name`].
    pub fn from_ggml(id: u32) -> Option<DType> {
        Self::ALL.into_iter().find(|dtype| dtype.ggml_id() == id)
    }

    /// The names of all supported types, for error messages: `F32, F16, …`.
    pub fn supported() -> String {
        Self::ALL.map(DType::name).join(", ")
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name of any ggml type number, supported or not, so that an error can say more than a number.
pub fn ggml_type_name(id: u32) -> String {
    let name = match id {
        4 => "Q4_2",
        5 => "Q4_3",
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        31 => "Q4_0_4_4",
        32 => "Q4_0_4_8",
        33 => "Q4_0_8_8",
        34 => "TQ1_0",
        35 => "TQ2_0",
        36 => "IQ4_NL_4_4",
        37 => "IQ4_NL_4_8",
        38 => "IQ4_NL_8_8",
        39 => "MXFP4",
        40 => "NVFP4",
        41 => "Q1_0",
        _ => match DType::from_ggml(id) {
            Some(dtype) => dtype.name(),
            None => return format!("number {id}"),
        },
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_round_trip() {
        for dtype in DType::ALL {
            assert_eq!(DType::from_ggml(dtype.ggml_id()), Some(dtype), "{dtype}");
            assert_eq!(ggml_type_name(dtype.ggml_id()), dtype.to_string());
        }
        assert_eq!(DType::from_ggml(17), None);
        assert_eq!(ggml_type_name(17), "IQ2_XS");
        assert_eq!(ggml_type_name(4000), "number 4000");
    }

    #[test]
    fn bytes_need_whole_blocks_and_64_bits() {
        let cases = [
            (DType::F32, 3, Some(12)),
            (DType::Q4_1, 64, Some(40)),
            (DType::Q4_1, 33, None),
            (DType::Q6K, 512, Some(420)),
            (DType::Q6K, 128, None),
            (DType::Q8_0, 0, Some(0)),
            (DType::F32, u64::MAX / 2, None),
        ];
        for (dtype, elements, bytes) in cases {
            assert_eq!(dtype.bytes_for(elements), bytes, "{dtype} {elements}");
        }
    }
}
