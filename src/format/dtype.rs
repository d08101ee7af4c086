//! Names, numbers and sizes of tensor types.

use super::quant::Format;
use std::fmt;

pub use super::quant::DType;

impl DType {
    /// The name that GGUF tools print, such as `Q4_K`.
    pub const fn name(self) -> &'static str {
        self.format().name
    }

    /// The number of the type in a GGUF tensor table.
    pub const fn ggml_id(self) -> u32 {
        self.format().ggml_id
    }

    /// Consecutive weights in a block of a row: 1 for floats, else 32 or 256.
    pub const fn block_len(self) -> usize {
        self.format().block_len
    }

    /// Bytes in one block.
    pub const fn block_bytes(self) -> usize {
        self.format().block_bytes
    }

    /// Bytes of `elements` weights; `None` if they are not whole blocks or the size does not fit in
    /// 64 bits.
    pub const fn bytes_for(self, elements: u64) -> Option<u64> {
        self.format().bytes_for(elements)
    }

    /// The type with this number in a GGUF tensor table; `None` if it is not supported.
    /// [`ggml_type_name`] gives the name of any number.
    pub fn from_ggml(id: u32) -> Option<DType> {
        Self::ALL.into_iter().find(|dtype| dtype.ggml_id() == id)
    }

    /// The names of all supported types, for error messages: `F32, F16, …`.
    pub fn supported() -> String {
        Self::ALL.map(DType::name).join(", ")
    }
}

impl AsRef<Format> for DType {
    fn as_ref(&self) -> &Format {
        self.format()
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name of any ggml type number, supported or not, for error messages.
pub fn ggml_type_name(id: u32) -> String {
    if let Some(dtype) = DType::from_ggml(id) {
        return dtype.name().to_owned();
    }
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
        _ => return format!("number {id}"),
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
