#!/usr/bin/env python3
"""Measures what docs/performance.md and README.md say of speed, all of it at one commit in one run, and writes the tables.

Run it from the project, on a quiet machine, with a Python that has the peers of compare.py:

    cargo build --release && peers/bin/python benches/peers/performance.py

The tables stand between the lines `<!-- measured: begin -->` and `<!-- measured: end -->` of both files; what is
outside is left as it is. With --print they go to standard output, and no file is changed. About ten minutes.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import compare

ROOT = compare.ROOT
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
COUNTS = ("dispatches_per_token", "submits_per_token", "readback_bytes_per_token")
PROMPT = "Explain in two sentences why the sky is blue and not green at noon."


def spread(values, digits=0):
    """The median, and the smallest and largest in brackets."""
    number = f"{{:.{digits}f}}".format
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"


def beside_peer(program, model, prompt, tokens, rounds):
    """Rows of prefill and decode, and the peer's version, where a native peer is here."""
    arguments = compare.parser().parse_args([
        "--kaiwu", program, "--model", model, "--prompt", str(prompt), "--tokens", str(tokens),
        "--rounds", str(rounds), "--peers", "llama-cpp-python",
    ])
    runs = compare.take_turns(arguments)
    if "llama-cpp-python" not in runs:
        sys.exit("performance.py: llama-cpp-python is needed for the comparison; see benches/peers/README.md")
    rows = []
    for key, what in (("prefill", f"prefill of {prompt}"), ("decode", f"decode of {tokens} after it")):
        ours, theirs = ([run[key] for run in runs[name]] for name in ("kaiwu", "llama-cpp-python"))
        rows.append((what, ours, theirs, statistics.median(ours) / statistics.median(theirs)))
    return rows, runs["llama-cpp-python"][0]["version"], runs["kaiwu"][0]["version"]


def first_token(program, model, rounds, **environment):
    """Seconds from the start of the process to the first token, each round."""
    command = [program, "generate", "-m", model, "-n", "8", "--json", PROMPT]
    environment = {**os.environ, **environment}
    runs = [compare.run_json(command, 300, env=environment) for _ in range(rounds)]
    return [run["timings"]["first_token_s"] for run in runs]


def peak_megabytes(program, model, rounds):
    """Peak resident memory of a short answer, each round, MB."""
    command = ["/usr/bin/time", "-f", "%M", program, "generate", "-m", model, "-n", "32", PROMPT]
    found = []
    for _ in range(rounds):
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        found.append(int(done.stderr.split()[-1]) * 1024 / 1e6)
    return found


def bench(program, model, prompt, tokens):
    counts = ["-p", str(prompt), "-n", str(tokens), "--repeat", "1"]
    return compare.run_json([program, "bench", "model", "-m", model, *counts, "--json"], 300)


def cached(program, model, rounds):
    """Decode with 100 and with 2000 tokens in the cache, in turn, and what a token does."""
    short, long = [], []
    for _ in range(rounds):
        token = bench(program, model, 100, 64)
        short.append(token["decode"]["tokens_per_s"])
        long.append(bench(program, model, 2000, 64)["decode"]["tokens_per_s"])
    return short, long, token


def commit():
    described = ["git", "describe", "--always", "--dirty", "--abbrev=7"]
    return subprocess.run(described, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def processor():
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    found = re.search(r"model name\s*:\s*(.+)", lines)
    return f"{os.cpu_count()} cores of {found.group(1)}" if found else f"{os.cpu_count()} cores"


def tables(arguments):
    """The tables of docs/performance.md, and the short one of README.md."""
    program, model = str(arguments.kaiwu), str(arguments.model)
    rows, peer, ours = beside_peer(program, model, 256, 64, arguments.rounds)
    more, _, _ = beside_peer(program, model, 1024, 16, max(3, arguments.rounds // 2))
    warm = first_token(program, model, arguments.rounds)
    cold = first_token(program, model, 3, MESA_SHADER_CACHE_DISABLE="1")
    peaks = peak_megabytes(program, model, 3)
    short, long, token = cached(program, model, arguments.rounds)
    size = Path(model).stat().st_size / 1e6
    shares = [b / a for a, b in zip(short, long)]
    where = f"{Path(model).name} ({size:.0f} MB), {ours.removeprefix('Kaiwu on ')}, {processor()}, at {commit()}"
    load = os.getloadavg()[0]

    head = "| | Kaiwu, through wgpu | llama.cpp, native | share |\n|---|---|---|---|\n"
    full = head + "".join(
        f"| {what} | {spread(a)} tokens/s | {spread(b)} tokens/s | {share:.2f} |\n" for what, a, b, share in rows + more
    )
    rest = "| | | command |\n|---|---|---|\n" + "".join(f"| {a} | {b} | {c} |\n" for a, b, c in (
        ("first token since process start", f"{spread(warm, 2)} s", "`kaiwu generate -n 8 --json …`"),
        ("the same with an empty shader cache", f"{spread(cold, 2)} s", "with `MESA_SHADER_CACHE_DISABLE=1`"),
        ("decode with 2000 tokens in the cache, against 100",
         f"{spread(long)} against {spread(short)} tokens/s, share {spread(shares, 2)}",
         "`kaiwu bench model -p 2000 -n 64`, in turn with `-p 100`"),
        ("peak resident memory, device memory included",
         f"{spread(peaks)} MB, {max(peaks) / size:.2f} times the file at most", "`/usr/bin/time -f %M kaiwu generate …`"),
        ("dispatches, submissions and bytes read back a token",
         ", ".join(f"{token['counts'][key]:g}" for key in COUNTS), "`kaiwu bench model`"),
    ))
    note = f"{where}; the peer is {peer}. Medians, smallest and largest in brackets; load {load:.1f} at the end.\n"
    brief = "| | Kaiwu, through Vulkan | llama.cpp, native | share |\n|---|---|---|---|\n" + "".join(
        f"| {what} | {statistics.median(a):.0f} tokens/s | {statistics.median(b):.0f} tokens/s | {share:.2f} |\n"
        for what, a, b, share in rows
    )
    return f"{note}\n{full}\n{rest}", f"{where}:\n\n{brief}"


def replaced(text, table):
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{table.rstrip()}\n{END}{rest.split(END, 1)[1]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kaiwu", default=ROOT / "target/release/kaiwu", help="the program [target/release/kaiwu]")
    parser.add_argument("--model", default=compare.MODEL, help="a GGUF file [the default model]")
    parser.add_argument("--rounds", type=int, default=7, help="rounds [7]")
    parser.add_argument("--print", action="store_true", help="print the tables and change no file")
    arguments = parser.parse_args()
    files = [ROOT / "docs/performance.md", ROOT / "README.md"]
    texts = [path.read_text(encoding="utf-8") for path in files]
    for path, text in zip(files, texts):
        if BEGIN not in text or END not in text:
            sys.exit(f"performance.py: {path} has no lines {BEGIN} and {END}")
    found = tables(arguments)
    if arguments.print:
        print("\n".join(found))
        return
    for path, text, table in zip(files, texts, found):
        path.write_text(replaced(text, table), encoding="utf-8")


if __name__ == "__main__":
    main()
