#!/usr/bin/env python3
"""Steps a second of the grokking paper's setting: Kaiwu and PyTorch in turn, on the same cores.

    python3 -m venv peers && peers/bin/pip install torch
    cargo build --release && peers/bin/python benches/peers/grok.py

PyTorch computes all four places in both layers, as code for it does; Kaiwu's last layer only the one whose answer
counts. Kaiwu's figure includes its evaluations of the other half of the table, every 50 steps; PyTorch's has none.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "data"))


def torch_steps(steps):
    """Seconds of a step of PyTorch, after a warm-up."""
    import torch
    from make_training import loss_of, shape, start

    sizes = shape(vocabulary=99, layers=2, width=128, heads=4, key_heads=4, hidden=512)
    parameters = start(sizes, 1)
    optimiser = torch.optim.AdamW(parameters.values(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)

    def step():
        a, b, answer = torch.randint(97, (3, 512))
        ids = torch.stack([a, torch.full_like(a, 97), b, torch.full_like(a, 98)], 1)
        optimiser.zero_grad()
        loss_of(sizes, parameters, ids, answer[:, None]).backward()
        optimiser.step()

    for _ in range(5):
        step()
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - begin) / steps


def kaiwu_steps(steps):
    """Seconds of a step of Kaiwu, the first 50 left out."""
    with tempfile.TemporaryDirectory() as out:
        command = [ROOT / "target/release/kaiwu", "grok", "--to-the-end", "--steps", str(50 + steps), "--out", out]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        rows = [json.loads(line) for line in (Path(out) / "metrics.jsonl").open()]
    first, last = next(row for row in rows if row["step"] == 50), rows[-1]
    return (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often both take their turn (3)")
    parser.add_argument("--steps", type=int, default=50, help="steps of a turn, a multiple of 50 (50)")
    arguments = parser.parse_args()
    seconds = {"Kaiwu": [], "PyTorch": []}
    for _ in range(arguments.rounds):
        seconds["PyTorch"].append(torch_steps(arguments.steps))
        seconds["Kaiwu"].append(kaiwu_steps(arguments.steps))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n\n| engine | steps/s, median | min | max |\n|---|---|---|---|")
    for name, times in seconds.items():
        rates = sorted(1 / time for time in times)
        print(f"| {name} | {statistics.median(rates):.1f} | {rates[0]:.1f} | {rates[-1]:.1f} |")
    ratio = statistics.median(seconds["PyTorch"]) / statistics.median(seconds["Kaiwu"])
    print(f"\nKaiwu's share: {ratio:.2f}")


if __name__ == "__main__":
    main()
