//! Rules that split text into words before byte-pair merging, by their names in GGUF files.
//!
//! The patterns are those of the models' `tokenizer.json` files; the names, and which models share
//! a pattern, are those of llama.cpp's `tokenizer.ggml.pre`. Each pattern splits the pieces that
//! the previous one left; text between matches is a piece as well.

use tokenizers::tokenizer::pattern::Pattern;
use tokenizers::utils::SysRegex;

/// The rule of one family of models.
#[derive(Debug)]
pub(in crate::text) struct PreTokenizer {
    names: &'static [&'static str],
    patterns: &'static [&'static str],
    /// A word that is itself a token is not split, even if merges would not form it.
    pub ignore_merges: bool,
    /// Whether texts begin with BOS if the file does not say.
    pub add_bos: bool,
}

pub(in crate::text) const GPT2: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: [&str; 3] = [
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
];

const KNOWN: [PreTokenizer; 11] = [
    PreTokenizer {
        names: &["default"],
        patterns: &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
        ignore_merges: false,
        add_bos: false,
    },
    PreTokenizer {
        names: &[
            "gpt-2",
            "phi-2",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
            "gigachat",
        ],
        patterns: &[GPT2],
        ignore_merges: false,
        add_bos: false,
    },
    PreTokenizer {
        names: &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
        patterns: &[r"\p{N}", GPT2],
        ignore_merges: false,
        add_bos: false,
    },
    PreTokenizer {
        names: &["falcon"],
        patterns: &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
        ignore_merges: false,
        add_bos: false,
    },
    PreTokenizer {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
        ],
        patterns: &[LLAMA3],
        ignore_merges: true,
        add_bos: true,
    },
    PreTokenizer {
        names: &["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"],
        patterns: &[LLAMA3],
        ignore_merges: false,
        add_bos: false,
    },
    PreTokenizer {
        names: &["qwen2", "stablelm2", "deepseek-r1-qwen", "hunyuan", "megrez", "grok-2"],
        patterns: &[QWEN2],
        ignore_merges: false,
        add_bos: false,
    },
    PreTokenizer { names: &["qwen35"], patterns: &[QWEN35], ignore_merges: false, add_bos: false },
    PreTokenizer {
        names: &["gpt-4o", "llama4", "kanana2"],
        patterns: &[GPT4O],
        ignore_merges: false,
        add_bos: false,
    },
    PreTokenizer { names: &["tekken"], patterns: &[TEKKEN], ignore_merges: true, add_bos: true },
    PreTokenizer {
        names: &["deepseek-v3", "hunyuan-dense"],
        patterns: &DEEPSEEK3,
        ignore_merges: false,
        add_bos: false,
    },
];

/// Longest run of white space, or of other characters, in bytes. The regex engine panics after a
/// match has backtracked ten million times; matches end at the latest where white space begins or
/// ends, and the patterns backtrack over a run only a few times.
const MAX_STRETCH: usize = 1 << 21;

/// Whether the text has a run of white space, or of other characters, that is too long to match.
fn has_too_long_stretch(text: &str) -> bool {
    if text.len() <= MAX_STRETCH {
        return false;
    }
    let mut length = 0;
    let mut white = false;
    for c in text.chars() {
        length = if c.is_whitespace() == white { length + 1 } else { 1 };
        white = c.is_whitespace();
        if length > MAX_STRETCH {
            return true;
        }
    }
    false
}

/// The rule with this name.
pub(in crate::text) fn by_name(name: &str) -> Option<&'static PreTokenizer> {
    // A static rather than the constant, so that what is returned outlives the call.
    static TABLE: [PreTokenizer; 11] = KNOWN;
    TABLE.iter().find(|rule| rule.names.contains(&name))
}

/// The name of the rule with these patterns.
pub(in crate::text) fn name_of(patterns: &[String], ignore_merges: bool) -> Option<&'static str> {
    let mut same = KNOWN
        .iter()
        .filter(|rule| rule.patterns == patterns && rule.ignore_merges == ignore_merges);
    same.next().map(|rule| rule.names[0])
}

/// Every supported value of `tokenizer.ggml.pre`.
pub fn known_names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().flat_map(|rule| rule.names.iter().copied())
}

/// The compiled patterns of a rule.
#[derive(Debug)]
pub(in crate::text) struct WordCutter {
    patterns: Vec<SysRegex>,
}

impl WordCutter {
    /// Compiles the patterns; the error comes from the regex engine.
    pub fn new(rule: &PreTokenizer) -> tokenizers::Result<Self> {
        Ok(Self {
            patterns: rule.patterns.iter().map(|p| SysRegex::new(p)).collect::<Result<_, _>>()?,
        })
    }

    /// The words of `text`, in order; concatenated, they are the text.
    pub fn cut<'a>(&self, text: &'a str) -> tokenizers::Result<Vec<&'a str>> {
        if has_too_long_stretch(text) {
            return Err(format!(
                "it has more than {MAX_STRETCH} characters in a row that are all white space, or \
                 all not; break them up"
            )
            .into());
        }
        let mut words = vec![text];
        for pattern in &self.patterns {
            let mut finer = Vec::with_capacity(words.len());
            for word in words {
                finer.extend(
                    pattern
                        .find_matches(word)?
                        .into_iter()
                        .map(|((start, end), _)| &word[start..end]),
                );
            }
            words = finer;
        }
        words.retain(|word| !word.is_empty());
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by hand from the patterns; `|` marks the boundaries.
    #[test]
    fn words_are_cut_as_the_patterns_say() {
        let rows = [
            ("gpt-2", "Hello world's  12345\n\n!", "Hello| world|'s| | 12345|\n|\n|!"),
            ("smollm", "ab 12x  I'LL", "ab| |1|2|x| | I|'|LL"),
            ("llama-bpe", "Hi 12345 I'LL (ok)\n\n  x", "Hi| |123|45| I|'LL| (|ok|)\n\n| | x"),
            ("qwen2", "12 a\r\n\tb", "1|2| a|\r\n|\tb"),
            ("gpt-4o", "HelloWorld don't 1234/\n", "Hello|World| don't| |123|4|/\n"),
            ("tekken", "HelloWorld don't 12", "Hello|World| don|'t| |1|2"),
            ("default", "a+b 1234 c", "a|+|b| |123|4| c"),
            ("falcon", "a`b 1234", "a|`|b| |123|4"),
            ("deepseek-v3", "日本go 1234 (x", "日本|go| |123|4| (|x"),
            ("qwen35", "क़ा 1", "क़ा| |1"),
        ];
        for (name, text, want) in rows {
            let cutter = WordCutter::new(by_name(name).unwrap()).unwrap();
            assert_eq!(cutter.cut(text).unwrap().join("|"), want, "{name}: {text:?}");
        }
    }

    #[test]
    fn a_stretch_the_expressions_cannot_take_is_an_error() {
        let cutter = WordCutter::new(by_name("llama-bpe").unwrap()).unwrap();
        for c in [" ", "A", "-"] {
            let most = c.repeat(MAX_STRETCH);
            assert!(cutter.cut(&most).is_ok(), "{c:?}");
            assert!(cutter.cut(&(most.clone() + c)).is_err(), "{c:?}");
            let broken = if c == " " { "a" } else { " " };
            assert!(cutter.cut(&(most.clone() + broken + &most)).is_ok(), "{c:?}");
        }
    }

    #[test]
    fn each_rule_compiles_each_name_is_unique_and_nothing_is_lost() {
        let mut names: Vec<_> = known_names().collect();
        for name in &names {
            let cutter = WordCutter::new(by_name(name).unwrap()).unwrap();
            for text in
                ["", " ", "a  b\t\r\n c", "日本 12 ½ don't 🙂\u{200d}x", "\u{0}\u{85}\u{a0}"]
            {
                assert_eq!(cutter.cut(text).unwrap().concat(), text, "{name}");
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(by_name("no such rule").is_none());
    }
}
