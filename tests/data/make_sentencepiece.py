"""Makes a small tokenizer.json as transformers makes it of a SentencePiece model: BPE with scores, byte fallback.

    pip install sentencepiece==0.2.* tokenizers llama-cpp-python
    python make_sentencepiece.py            writes sentencepiece/tokenizer.json and sentencepiece/ids.json

The ids are those of the tokenizers library. With a GGUF file, written by `kaiwu convert`, as an argument, the ids that
llama.cpp gives for the same texts are compared with them instead.
"""

import io
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "sentencepiece"
SIZE = 384  # as many as the tiny checkpoints have embeddings
TEXTS = [
    "",
    " ",
    "a",
    "the moment of insight",
    " one  two   three\n\n4's\t",
    "memorises, and then it understands.",
    "é 猫 naïve 🙂 \u200b\u00a0x",
    "the<s>the<unk> </s> <0x41> <extra> the<extra>the",
    "\u2581the \u2581 the",
    "aaaaaaaaaaaaaaaa the the the",
    "a\x00b\x7f\r\n",
]


def train():
    import sentencepiece

    model = io.BytesIO()
    text = (HERE / "text.txt").read_text().splitlines()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_writer=model, model_type="bpe", vocab_size=SIZE - 1, byte_fallback=True,
        character_coverage=1.0, hard_vocab_limit=False, normalization_rule_name="identity", remove_extra_whitespaces=False,
        split_digits=True, minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return {pieces.id_to_piece(id): (id, pieces.get_score(id)) for id in range(pieces.get_piece_size())}


def merges(pieces):
    """Every way to join two pieces to a third; of joins to one piece, the parts that come first in the vocabulary first."""
    found = []
    for piece, (_, score) in pieces.items():
        splits = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        splits = [(left, right) for left, right in splits if left in pieces and right in pieces]
        splits.sort(key=lambda pair: (pieces[pair[0]][0], pieces[pair[1]][0]))
        found += [(score, split) for split in splits]
    found.sort(key=lambda one: one[0], reverse=True)
    return [list(split) for _, split in found]


def added(id, text, special):
    return {"id": id, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": special}


def tokenizer():
    pieces = train()
    size = len(pieces)
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(pieces[text][0], text, True) for text in ("<unk>", "<s>", "</s>")]
        + [added(size, "<extra>", False)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing",
                           "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [pieces["<s>"][0]], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {piece: id for piece, (id, _) in pieces.items()}, "merges": merges(pieces)},
    }


def make():
    from tokenizers import Tokenizer

    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False, indent=0) + "\n")
    library = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    rows = [{"text": text, "ids": library.encode(text).ids} for text in TEXTS]
    (FOLDER / "ids.json").write_text(json.dumps(rows, indent=0) + "\n")


def compare(gguf):
    from llama_cpp import Llama

    model = Llama(gguf, vocab_only=True, verbose=False)
    for row in json.loads((FOLDER / "ids.json").read_text()):
        found = model.tokenize(row["text"].encode(), add_bos=True, special=True)
        print("same" if found == row["ids"] else f"other: {found}, not {row['ids']}", repr(row["text"]))


if len(sys.argv) > 1:
    compare(sys.argv[1])
else:
    make()
