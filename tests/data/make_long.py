"""Logits of texts longer than any page of the cache, for tiny checkpoints with windows: python tests/data/make_long.py FOLDER..."""
import os
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.models.gemma3 import modeling_gemma3

# As in make_variants.py: transformers 5.23.0 forgets to hand Gemma 3's cap to the attention.
plain = modeling_gemma3.eager_attention_forward
modeling_gemma3.eager_attention_forward = lambda module, *arguments, **named: plain(
    module, *arguments, **(named | dict(softcap=module.attn_logit_softcapping)))

TOKENS, EVERY = 230, 11

for folder in sys.argv[1:]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(3, model.config.vocab_size, (1, TOKENS), generator=generator)
    positions = torch.arange(TOKENS - 1, -1, -EVERY).flip(0)
    with torch.no_grad():
        logits = model(ids).logits[0].float()
    tensors = {"input_ids": ids[0].to(torch.int32), "positions": positions.to(torch.int32), "logits": logits[positions]}
    save_file({name: t.contiguous() for name, t in tensors.items()}, os.path.join(folder, "long.safetensors"))
    print(folder, model.config.sliding_window, getattr(model.config, "layer_types", None), len(positions))
