#!/usr/bin/env python3
"""Kaiwu beside other engines: same file, same machine, in turn; prints a Markdown table of medians and ratios.

Run it from the project with a Python that has the peers installed; a peer that is missing is left out with a line.
README.md beside this file says how and what is measured.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
TEXT = ROOT / "tests" / "data" / "text.txt"


# Load for each core, before a run, beyond which something else is running too. The last run itself leaves up to 1.
BUSY = 1.3


class Missing(Exception):
    """The engine is not installed here."""


def measure(decode, choose, clear, ids, tokens, logits=None, check=()):
    """Times reading `ids` and writing `tokens` greedy ones, after a short warm-up of the same kind.

    `decode(ids, position)` computes, `choose()` waits and gives the likeliest next token. `check` is another engine's
    output: it is read token by token, and told how often this one would have written the same token, and how far below
    its own best score, of `logits()`, the other's token was at most.
    """

    def once(ids, tokens):
        clear()
        written, start = [], time.perf_counter()
        decode(ids, 0)
        written.append(choose())
        prefill, start = time.perf_counter() - start, time.perf_counter()
        for position in range(len(ids), len(ids) + tokens):
            decode([written[-1]], position)
            written.append(choose())
        # The first of them came with the prompt: so many steps gave the rest.
        return prefill, time.perf_counter() - start, written[:tokens]

    once(ids[:16], 2)
    prefill, decode_time, written = once(ids, tokens)
    found = {"prefill": len(ids) / prefill, "decode": tokens / decode_time, "ids": written}
    if check:
        clear()
        gaps, step = [], list(ids)
        for position, token in enumerate(check):
            decode(step, 0 if position == 0 else len(ids) + position - 1)
            scores = logits()
            gaps.append(float(scores.max() - scores[token]))
            step = [token]
        found["agree"] = [sum(gap == 0 for gap in gaps), max(gaps)]
    return found


def llama_cpp_python(model, job, threads):
    """llama.cpp on the CPU, through the C interface that llama-cpp-python binds."""
    try:
        import llama_cpp as c
        import numpy
    except ImportError as error:
        raise Missing(f"pip install llama-cpp-python numpy ({error})") from error
    quiet = c.llama_log_callback(lambda *_: None)
    c.llama_log_set(quiet, None)
    c.llama_backend_init()
    options = c.llama_model_default_params()
    options.n_gpu_layers = 0
    loaded = c.llama_model_load_from_file(str(model).encode(), options)
    options = c.llama_context_default_params()
    size = len(job["ids"]) + job["tokens"]
    options.n_ctx, options.n_batch, options.n_ubatch = size, size, min(size, 512)
    options.n_threads = options.n_threads_batch = threads
    context = c.llama_init_from_model(loaded, options)
    if not loaded or not context:
        raise RuntimeError(f"llama.cpp does not load {model}")
    vocabulary = c.llama_vocab_n_tokens(c.llama_model_get_vocab(loaded))

    def decode(ids, _position):
        array = (c.llama_token * len(ids))(*ids)  # the batch only points to it
        if c.llama_decode(context, c.llama_batch_get_one(array, len(ids))) != 0:
            raise RuntimeError("llama_decode failed")

    def logits():
        return numpy.ctypeslib.as_array(c.llama_get_logits_ith(context, -1), shape=(vocabulary,))

    def clear():
        c.llama_memory_clear(c.llama_get_memory(context), True)

    def choose():
        return int(numpy.argmax(logits()))

    found = measure(decode, choose, clear, logits=logits, **job)
    return {"version": f"llama-cpp-python {c.__version__}, CPU, {threads} threads", **found}


def cyllama_vulkan(model, job, _threads):
    """llama.cpp on Vulkan, through cyllama. It passes over CPU adapters unless one is asked for by number."""
    os.environ.setdefault("GGML_VK_VISIBLE_DEVICES", "0")
    try:
        from importlib.metadata import version

        from cyllama.llama import llama_cpp as c

        release = version("cyllama-vulkan")
    except ImportError as error:
        raise Missing(f"pip install cyllama-vulkan ({error})") from error
    c.disable_logging()
    c.ggml_backend_load_all()
    devices = [device for device in c.ggml_backend_dev_info() if "vulkan" in str(device).lower()]
    if not devices:
        raise Missing("cyllama finds no Vulkan device")
    options = c.LlamaModelParams()
    options.n_gpu_layers = 99
    loaded = c.LlamaModel(str(model), options)
    options = c.LlamaContextParams()
    options.n_ctx = options.n_batch = len(job["ids"]) + job["tokens"]
    context = c.LlamaContext(loaded, options)
    sampler = c.LlamaSampler()
    sampler.add_greedy()

    def decode(ids, position):
        context.decode(c.llama_batch_get_one(list(ids), position))

    def clear():
        context.kv_cache_clear(True)

    found = measure(decode, lambda: sampler.sample(context, -1), clear, **job)
    return {"version": f"cyllama-vulkan {release}, Vulkan", **found}


PEERS = {"llama-cpp-python": llama_cpp_python, "cyllama-vulkan": cyllama_vulkan}


def run_json(command, limit, **more):
    """The JSON a command prints last on standard output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return json.loads(done.stdout[done.stdout.index("{") :])


def kaiwu(program, model, ids, tokens, limit):
    """Rates from `bench model`, whose prompt has as many tokens; the text from `generate` on the very prompt."""
    counts = ["-p", str(len(ids)), "-n", str(tokens), "--repeat", "1"]
    bench = run_json([program, "bench", "model", "-m", model, *counts, "--json"], limit)
    prompt = ",".join(map(str, ids))
    answer = run_json([program, "generate", "-m", model, "--ids", prompt, "-n", str(tokens), "--json"], limit)
    rates = {name: bench[name]["tokens_per_s"] for name in ("prefill", "decode")}
    return {"version": f"Kaiwu on {bench['adapter']}", "ids": answer["output_ids"], **rates}


def take_turns(arguments):
    """What each engine that is here measured: a list of its rounds by its name."""
    program, model = str(arguments.kaiwu), str(arguments.model)
    text = TEXT.read_text(encoding="utf-8")
    tokenize = [program, "tokenize", "-m", model, "--json", "-"]
    found = run_json(tokenize, arguments.limit, input=text)["ids"]
    ids = (found * (arguments.prompt // len(found) + 1))[: arguments.prompt]

    names = ["kaiwu", *(name for name in PEERS if name in arguments.peers)]
    runs = {name: [] for name in names}
    for number in range(1, arguments.rounds + 1):
        for name in list(names):
            if number > arguments.vulkan_rounds and name == "cyllama-vulkan":
                continue
            load = os.getloadavg()[0]
            try:
                if name == "kaiwu":
                    run = kaiwu(program, model, ids, arguments.tokens, arguments.limit)
                else:
                    worker = [sys.executable, __file__, "--worker", name, "--model", model]
                    worker += ["--threads", str(arguments.threads)]
                    job = {"ids": ids, "tokens": arguments.tokens}
                    if number == 1 and name != "cyllama-vulkan":
                        job["check"] = runs["kaiwu"][0]["ids"]  # one more prompt: not from one that takes minutes
                    run = run_json(worker, arguments.limit, input=json.dumps(job))
                if "missing" in run:
                    raise Missing(run["missing"])
            except (Missing, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
                if name == "kaiwu":
                    raise
                names.remove(name)
                print(f"left out {name}: {error}", file=sys.stderr)
                continue
            runs[name].append({"load": load, **run})
            print(f"round {number}, {name}: {run['prefill']:.2f} and {run['decode']:.2f} tokens/s", file=sys.stderr)
    return {name: done for name, done in runs.items() if done}


def agreement(ours, run):
    """How two outputs compare, in words."""
    theirs = run["ids"]
    same = next((n for n, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    words = "the same" if ours == theirs else f"the same up to token {same} of {len(ours)}"
    if "agree" in run and ours != theirs:
        count, gap = run["agree"]
        words += f"; given Kaiwu's, it would write {count} of them, and is {gap:.2f} logits apart at most"
    return words


def report(arguments, runs):
    def median(name, key):
        return statistics.median(run[key] for run in runs[name])

    model = Path(arguments.model).name
    busy = max(run["load"] for done in runs.values() for run in done)
    print(f"{model}, a prompt of {arguments.prompt} tokens, {arguments.tokens} after it, {platform.machine()}, "
          f"{os.cpu_count()} cores; medians, smallest and largest in brackets.\n")
    if busy > BUSY * os.cpu_count():
        print(f"The machine was busy with other work (load {busy:.1f} before a run): **these rates mean little**.\n")
    print("| engine | rounds | prefill, tokens/s | Kaiwu's share | decode, tokens/s | Kaiwu's share | greedy output |")
    print("|---|---|---|---|---|---|---|")
    for name, done in runs.items():
        cells = [done[0]["version"], str(len(done))]
        for key in ("prefill", "decode"):
            rates = [run[key] for run in done]
            cells.append(f"{median(name, key):.2f} ({min(rates):.2f} to {max(rates):.2f})")
            cells.append("" if name == "kaiwu" else f"{median('kaiwu', key) / median(name, key):.2f}")
        words = agreement(runs["kaiwu"][0]["ids"], done[0])
        if any(run["ids"] != done[0]["ids"] for run in done):
            words += "; NOT the same in every round"
        cells.append("" if name == "kaiwu" and words == "the same" else words)
        print("| " + " | ".join(cells) + " |")


def parser():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kaiwu", default=ROOT / "target/release/kaiwu", help="the program [target/release/kaiwu]")
    parser.add_argument("--model", default=MODEL, help="a GGUF file [the default model]")
    parser.add_argument("--prompt", type=int, default=256, help="tokens of the prompt [256]")
    parser.add_argument("--tokens", type=int, default=64, help="tokens after it [64]")
    parser.add_argument("--rounds", type=int, default=5, help="rounds [5]")
    parser.add_argument("--vulkan-rounds", type=int, default=1, help="of them with the slow Vulkan peer [1]")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of the native peer [all cores]")
    parser.add_argument("--limit", type=int, default=900, help="seconds an engine may take for a round [900]")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS), help="which peers [all]")
    parser.add_argument("--worker", choices=list(PEERS), help=argparse.SUPPRESS)
    return parser


def main():
    arguments = parser().parse_args()
    if arguments.worker:
        job = json.load(sys.stdin)
        try:
            print(json.dumps(PEERS[arguments.worker](arguments.model, job, arguments.threads)))
        except Missing as error:
            print(json.dumps({"missing": str(error)}))
    else:
        try:
            report(arguments, take_turns(arguments))
        except (RuntimeError, OSError) as error:  # Kaiwu's own: a peer that fails is left out
            sys.exit(f"compare.py: {error}")


if __name__ == "__main__":
    main()
