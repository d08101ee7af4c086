"""What the tokenizers library makes of ids with decoders of many kinds: `python tests/data/make_decoders.py > tests/data/decoders.json`.

Bytes that are no character are left out: there the library replaces whole characters beside them, too."""
import itertools
import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models

WORDS = ["▁the", "▁", "a", "<0xE7>", "<0x8C>", "<0xAB>", "<0x41>", "_x", " b", "b ", "é", "▁▁q", "Ġg", "aa", "  ", "ba▁", "C▁D"]
LLAMA = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
DECODERS = [
    None,
    decoders.Fuse(),
    decoders.ByteFallback(),
    decoders.Replace("_", "-"),
    decoders.Replace(Regex("[ab]+"), "Z"),
    decoders.Strip("a", 1, 1),
    decoders.Strip(" ", 2, 0),
    decoders.Metaspace(),
    decoders.Metaspace(prepend_scheme="never"),
    decoders.Metaspace(prepend_scheme="first"),
    decoders.ByteLevel(),
    decoders.Sequence(LLAMA),
    decoders.Sequence(LLAMA + [decoders.Strip(" ", 1, 0)]),
    decoders.Sequence(LLAMA + [decoders.Strip(" ", 2, 2)]),
    decoders.Sequence(LLAMA + [decoders.Strip("a", 0, 3), decoders.Strip(" ", 1, 0)]),
    decoders.Sequence(LLAMA + [decoders.Replace(Regex("b +a"), "!")]),
    decoders.Sequence([decoders.ByteFallback(), decoders.Replace("a", "oo"), decoders.Strip("o", 1, 0)]),
    decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
    decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)]),
    decoders.Sequence([decoders.Replace("Ġ", "_"), decoders.Sequence([decoders.Fuse(), decoders.Strip("▁", 1, 1)])]),
]


def rows(count):
    """Ids without parts of characters: bytes of one come together."""
    shuffled = random.Random(3)
    parts = [[i] for i in range(count) if i not in (3, 4, 5)] + [[3, 4, 5]]
    edges = [[], [0], [1, 1, 1], [17, 0, 2], [2, 2, 2], [14, 8, 14], [3, 4, 5, 6, 3, 4, 5]]
    return edges + [list(itertools.chain(*shuffled.choices(parts, k=7))) for _ in range(5)]


if __name__ == "__main__":
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="a"))
    tokenizer.add_special_tokens([AddedToken("<s>", special=True)])
    tokenizer.add_tokens([AddedToken("[▁+]", special=False)])
    base = json.loads(tokenizer.to_str())
    found = []
    for decoder in DECODERS:
        if decoder is not None:
            tokenizer.decoder = decoder
        said = json.loads(tokenizer.to_str())["decoder"]
        for ids in rows(tokenizer.get_vocab_size()):
            for skip in (True, False):
                try:
                    found.append([said, ids, skip, tokenizer.decode(ids, skip_special_tokens=skip)])
                except BaseException:  # the library stumbles over tokens that are shorter than what it strips
                    pass
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in found)
    print(f'{{"tokenizer": {json.dumps(base, ensure_ascii=False)},\n"rows": [\n{lines}]}}')
