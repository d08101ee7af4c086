"""Quantises a model with Kaiwu and with llama.cpp, and judges both by `kaiwu compare`.

    python benches/peers/quantise.py MODEL.gguf TEXT

Every file is loaded by llama.cpp too, which continues a prompt greedily. Needs llama-cpp-python, as compare.py does.
"""

import ctypes
import json
import pathlib
import subprocess
import sys
import tempfile

import llama_cpp

KAIWU = pathlib.Path(__file__).parents[2] / "target/release/kaiwu"
TYPES = {"q8_0": 7, "q4_0": 2, "q4_k": 14}  # ggml's enum llama_ftype
PROMPT = "The capital of France is"


def kaiwu(*arguments):
    return subprocess.run([KAIWU, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def continued(path):
    model = llama_cpp.Llama(model_path=str(path), n_ctx=128, verbose=False)
    return model(PROMPT, max_tokens=16, temperature=0)["choices"][0]["text"]


model, text = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    floats = folder / "f32.gguf"
    kaiwu("convert", "-m", model, "--quantize", "f32", "-o", floats)
    for name, number in TYPES.items():
        ours, theirs = folder / f"kaiwu-{name}.gguf", folder / f"llama.cpp-{name}.gguf"
        kaiwu("convert", "-m", floats, "--quantize", name, "-o", ours)
        parameters = llama_cpp.llama_model_quantize_default_params()
        parameters.ftype = number
        if llama_cpp.llama_model_quantize(str(floats).encode(), str(theirs).encode(), ctypes.byref(parameters)):
            sys.exit(f"llama.cpp does not quantise to {name}")
        for path in (ours, theirs):
            found = json.loads(kaiwu("compare", "-m", floats, "-m", path, text, "--json"))
            print(
                f"{path.name}: {path.stat().st_size / 2**20:.1f} MiB, {found['b']['mean_nll']:.4f} nats a token, "
                f"divergence {found['mean_divergence']:.4f}, same choice {100 * found['top1_agreement']:.1f} %; "
                f"llama.cpp continues {continued(path)!r}"
            )
