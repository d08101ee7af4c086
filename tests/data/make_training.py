#!/usr/bin/env python3
"""Losses of ten optimiser steps of tiny transformers, by PyTorch: python3 make_training.py > training.json

The start of the parameters, the data and the settings are those of tests/train/trainer.rs, drawn again here.
"""

import json
import math

import torch
import torch.nn.functional as F

MASK = (1 << 64) - 1


class Rng:
    """SplitMix64, as src/sample/rng.rs."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 11) / (1 << 53)

    def normal(self):
        radius = math.sqrt(-2.0 * math.log(1.0 - self.uniform()))
        return radius * math.cos(2.0 * math.pi * self.uniform())


def start(shape, seed):
    """The parameters, in the order of src/train/model/parameters.rs."""
    rng, width = Rng(seed), shape["width"]
    rows = (shape["vocabulary"] + 3) // 4 * 4
    keys = shape["key_heads"] * (width // shape["heads"])
    parameters = {}

    def constant(name, count, value):
        parameters[name] = torch.full((count,), value)

    def drawn(name, rows, columns, draw):
        values = [draw() for _ in range(rows * columns)]
        parameters[name] = torch.tensor(values, dtype=torch.float64).float().reshape(rows, columns)

    def embedding(name, rows):
        drawn(name, rows, width, lambda: rng.normal() * shape["embedding_deviation"])

    def linear(name, rows, columns):
        bound = 1.0 / math.sqrt(columns)
        drawn(name, rows, columns, lambda: (2.0 * rng.uniform() - 1.0) * bound)

    def norm(name):
        if shape["norm"] == "layer_norm" and shape["norm_bias"]:
            constant(name + ".bias", width, 0.0)
        constant(name, width, 1.0)

    embedding("token_embd", rows)
    if shape["positions"] == "learned":
        embedding("position_embd", shape["context"])
    for layer in range(shape["layers"]):
        name = lambda part: f"blk.{layer}.{part}"
        norm(name("attn_norm"))
        linear(name("attn_q"), width, width)
        linear(name("attn_kv"), 2 * keys, width)
        linear(name("attn_output"), width, width)
        norm(name("ffn_norm"))
        gated = 2 if shape["feedforward"] == "swiglu" else 1
        linear(name("ffn_up"), gated * shape["hidden"], width)
        linear(name("ffn_down"), width, shape["hidden"])
    norm("output_norm")
    if not shape["tied"]:
        linear("output", rows, width)
    return {name: tensor.requires_grad_() for name, tensor in parameters.items()}


def rotate(x):
    """Neighbouring numbers of x [B, T, H, D] turned by the angle of their place."""
    tokens, head = x.shape[1], x.shape[3]
    rates = 10000.0 ** (-torch.arange(0, head, 2, dtype=torch.float64) / head)
    angles = torch.arange(tokens, dtype=torch.float64)[:, None] * rates
    cos, sin = angles.cos().float()[:, None], angles.sin().float()[:, None]
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def loss_of(shape, parameters, ids, targets):
    """Mean loss of predicting targets [B, N] after the last N places of ids [B, T]; -1 does not count."""
    (size, tokens), heads, key_heads = ids.shape, shape["heads"], shape["key_heads"]
    head = shape["width"] // heads

    def norm(name, x):
        gain = parameters[name]
        if shape["norm"] == "rms_norm":
            return F.rms_norm(x, (x.shape[-1],), gain, 1e-5)
        return F.layer_norm(x, (x.shape[-1],), gain, parameters.get(name + ".bias"), 1e-5)

    x = parameters["token_embd"][ids]
    if shape["positions"] == "learned":
        x = x + parameters["position_embd"][:tokens]
    for layer in range(shape["layers"]):
        name = lambda part: f"blk.{layer}.{part}"
        normed = norm(name("attn_norm"), x)
        q = F.linear(normed, parameters[name("attn_q")]).reshape(size, tokens, heads, head)
        k, v = F.linear(normed, parameters[name("attn_kv")]).reshape(size, tokens, 2, key_heads, head).unbind(2)
        if shape["positions"] == "rotary":
            q, k = rotate(q), rotate(k)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        k, v = (part.repeat_interleave(heads // key_heads, 1) for part in (k, v))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(-2)
        x = x + F.linear(attended, parameters[name("attn_output")])
        up = F.linear(norm(name("ffn_norm"), x), parameters[name("ffn_up")])
        if shape["feedforward"] == "relu":
            up = up.relu()
        elif shape["feedforward"] == "gelu":
            up = F.gelu(up, approximate="tanh")
        else:
            gate, up = up.chunk(2, -1)
            up = F.silu(gate) * up
        x = x + F.linear(up, parameters[name("ffn_down")])
    output = parameters["token_embd" if shape["tied"] else "output"]
    logits = F.linear(norm("output_norm", x), output)[:, -targets.shape[1] :, : shape["vocabulary"]]
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)


def data(words, vocabulary, masked):
    """Ids, and which of them are no targets."""
    ids = [(i * i * 7 + i * 3 + i // 5) % vocabulary for i in range(words)]
    return ids, [masked and i % 5 == 0 for i in range(words)]


def rate(schedule, step):
    if step < schedule["warmup"]:
        return schedule["rate"] * step / schedule["warmup"]
    if schedule["cosine_until"] is None:
        return schedule["rate"]
    done = min((step - schedule["warmup"]) / (schedule["cosine_until"] - schedule["warmup"]), 1.0)
    share = 0.5 * (1.0 + math.cos(math.pi * done))
    return schedule["rate"] * (schedule["floor"] + (1.0 - schedule["floor"]) * share)


def train(run, steps=10):
    shape, settings = run["shape"], run["settings"]
    parameters = start(shape, settings["seed"])
    tokens, kept = shape["context"], settings["kept"]
    sequences = settings["batch"] * settings["accumulate"]
    ids, masked = data(sequences * tokens + 1, shape["vocabulary"], run["masked"])
    batch = torch.tensor([ids[n * tokens : (n + 1) * tokens] for n in range(sequences)])
    wanted = [-1 if no else i for i, no in zip(ids, masked)]
    targets = [wanted[n * tokens + 1 : (n + 1) * tokens + 1][-kept:] for n in range(sequences)]
    targets = torch.tensor(targets)
    if "adamw" in settings["method"]:
        b1, b2, eps = settings["method"]["adamw"]
        optimiser = torch.optim.AdamW(
            parameters.values(), lr=1.0, betas=(b1, b2), eps=eps, weight_decay=settings["decay"]
        )
    else:
        momentum = settings["method"]["sgd"]
        optimiser = torch.optim.SGD(
            parameters.values(), lr=1.0, momentum=momentum, weight_decay=settings["decay"]
        )
    losses = []
    for step in range(1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = rate(settings["schedule"], step)
        optimiser.zero_grad()
        loss = loss_of(shape, parameters, batch, targets)
        loss.backward()
        if settings["clip"] is not None:
            torch.nn.utils.clip_grad_norm_(parameters.values(), settings["clip"])
        optimiser.step()
        losses.append(loss.item())
    return losses


def shape(**changes):
    base = dict(vocabulary=13, context=4, layers=2, width=16, heads=4, key_heads=4, hidden=64)
    base |= dict(norm="layer_norm", norm_bias=True, feedforward="relu", positions="learned", tied=False)
    return base | dict(embedding_deviation=1.0) | changes


def settings(**changes):
    base = dict(batch=8, accumulate=1, kept=1, decay=1.0, clip=None, seed=1)
    base |= dict(schedule=dict(rate=3e-3, warmup=3, cosine_until=None, floor=0.0))
    return base | dict(method=dict(adamw=[0.9, 0.98, 1e-8])) | changes


RUNS = [
    dict(name="grokking", shape=shape(), settings=settings(), masked=False),
    dict(
        name="llama",
        shape=shape(
            vocabulary=31, context=9, key_heads=2, hidden=40, norm="rms_norm", norm_bias=False,
            feedforward="swiglu", positions="rotary", tied=True, embedding_deviation=0.3,
        ),
        settings=settings(
            batch=3, accumulate=2, kept=9, decay=0.1, clip=0.5, seed=2,
            schedule=dict(rate=1e-2, warmup=2, cosine_until=8, floor=0.1),
        ),
        masked=False,
    ),
    dict(
        name="gelu, SGD, masked",
        shape=shape(vocabulary=20, context=7, feedforward="gelu", norm_bias=False),
        settings=settings(
            batch=5, kept=3, decay=0.01, seed=3, method=dict(sgd=0.9),
            schedule=dict(rate=0.05, warmup=0, cosine_until=None, floor=0.0),
        ),
        masked=True,
    ),
]

if __name__ == "__main__":
    torch.manual_seed(0)
    print(json.dumps([run | dict(losses=train(run)) for run in RUNS], indent=1))
