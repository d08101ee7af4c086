//! Options that take one of a few words, each with a help text. The library's types know no command
//! line: their words are here.

use crate::format::Quantization;
use crate::gpu::StorageKind;
use crate::kernels::CacheType;
use crate::lab::Operation;
use crate::model::Pooling;
use crate::workbench::Target;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// A type with a word and a help text for each value.
pub(in crate::cli) trait Choice: Copy + Send + Sync + 'static {
    /// Word, help, value.
    const ALL: &'static [(&'static str, &'static str, Self)];

    /// The value of a word.
    fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, ..)| *known == word).map(|&(.., value)| value)
    }
}

/// Takes the words of a type.
pub(in crate::cli) fn choice<C: Choice>() -> impl TypedValueParser<Value = C> {
    let known = C::ALL.iter().map(|(word, help, _)| PossibleValue::new(*word).help(*help));
    // Other words than those known do not come as far as this.
    PossibleValuesParser::new(known).try_map(|word| C::of(&word).ok_or("it is no known word"))
}

impl Choice for StorageKind {
    const ALL: &'static [(&'static str, &'static str, Self)] = &[
        ("buffer", "A storage buffer: what GPUs like", Self::Buffer),
        (
            "texture",
            "A storage texture: what software adapters and some mobile GPUs read faster",
            Self::Texture,
        ),
    ];
}

impl Choice for CacheType {
    const ALL: &'static [(&'static str, &'static str, Self)] = &[
        ("f16", "Half precision", Self::F16),
        ("f32", "Single precision: twice the memory", Self::F32),
        (
            "q8_0",
            "Bytes, and for each 32 numbers of a head a scale: about half the memory",
            Self::Q8_0,
        ),
    ];
}

impl Choice for Quantization {
    const ALL: &'static [(&'static str, &'static str, Self)] = &[
        ("f32", "32-bit floats", Self::F32),
        ("f16", "Half-precision floats", Self::F16),
        ("q8_0", "8.5 bits a weight", Self::Q8_0),
        ("q4_0", "4.5 bits a weight in blocks of 32", Self::Q4_0),
        (
            "q4_k",
            "4.5 bits a weight in blocks of 256, with minima; where rows are not whole blocks, Q5_0",
            Self::Q4K,
        ),
    ];
}

impl Choice for Pooling {
    const ALL: &'static [(&'static str, &'static str, Self)] = &[
        ("mean", "Their mean", Self::Mean),
        ("first", "That of the first token", Self::First),
        ("last", "That of the last token, which has seen all others", Self::Last),
        ("max", "The largest of each number", Self::Max),
        (
            "weighted",
            "Their mean, the first token counted once, the second twice, and so on",
            Self::Weighted,
        ),
    ];
}

impl Choice for Target {
    const ALL: &'static [(&'static str, &'static str, Self)] = &[
        ("wgsl", "As it was rendered", Self::Wgsl),
        ("spirv", "Vulkan's, binary", Self::Spirv),
        ("msl", "Metal's", Self::Msl),
        ("hlsl", "DirectX 12's", Self::Hlsl),
        ("glsl", "OpenGL's", Self::Glsl),
    ];
}

impl Choice for Operation {
    const ALL: &'static [(&'static str, &'static str, Self)] = &[
        ("add", "a + b", Self::Add),
        ("subtract", "a - b", Self::Subtract),
        ("multiply", "a * b", Self::Multiply),
        ("divide", "a / b, b not 0; the modulus must be prime", Self::Divide),
        (
            "divide-or-subtract",
            "a / b where b is odd, else a - b; the modulus must be prime",
            Self::DivideOrSubtract,
        ),
        ("square-sum", "a^2 + b^2", Self::SquareSum),
        ("quadratic", "a^2 + a b + b^2", Self::Quadratic),
        ("quadratic-plus-a", "a^2 + a b + b^2 + a", Self::QuadraticPlusA),
        ("cubic", "a^3 + a b", Self::Cubic),
        ("cubic-mixed", "a^3 + a b^2 + b", Self::CubicMixed),
        (
            "s5-product",
            "a b, permutations of five things, written as 21345; b moves them first",
            Self::S5Product,
        ),
        ("s5-conjugate", "a b a^-1 of such permutations", Self::S5Conjugate),
        ("s5-sandwich", "a b a of such permutations", Self::S5Sandwich),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_files_and_json_have() {
        for (word, _, value) in Operation::ALL {
            assert_eq!(serde_json::to_value(value).expect("a word"), *word);
            assert_eq!(Operation::of(word), Some(*value));
        }
        for (word, _, value) in StorageKind::ALL {
            assert_eq!(serde_json::to_value(value).expect("a word"), *word);
        }
        for (word, _, value) in Pooling::ALL {
            assert_eq!(value.name(), *word);
        }
        assert_eq!(CacheType::of("q8_0"), Some(CacheType::Q8_0));
        assert_eq!(CacheType::of("q8"), None);
    }
}
