"""Makes tiny-embeddings.json: pooled hidden states of tiny/llama-f32, by transformers in float32.

    pip install torch==2.15.0 transformers==5.23.0 && python make_embeddings.py
"""

import json
import pathlib

import torch
from transformers import AutoModel, AutoTokenizer

TEXTS = ["A small cat sleeps.", "The weather in Oslo is cold today, and tomorrow it will be colder still. " * 4]

here = pathlib.Path(__file__).parent
folder = here / "tiny/llama-f32"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
rows = []
for text in TEXTS:
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        hidden = model(ids).last_hidden_state[0]
    # The weights of sentence-transformers' weightedmean: places, counted from 1.
    places = torch.arange(1, len(hidden) + 1.0)
    vectors = {
        "mean": hidden.mean(0),
        "first": hidden[0],
        "last": hidden[-1],
        "max": hidden.max(0).values,
        "weighted": (hidden * places[:, None]).sum(0),
    }
    row = {name: torch.nn.functional.normalize(vector, dim=0).tolist() for name, vector in vectors.items()}
    rows.append({"text": text, "tokens": ids.shape[1], **row})
(here / "tiny-embeddings.json").write_text(json.dumps(rows) + "\n")
