"""Has llama.cpp load what `kaiwu convert` makes of the tiny checkpoints, and compares its logits with transformers'.

Usage: python benches/peers/gguf.py [--kaiwu target/release/kaiwu]. Needs llama-cpp-python; no device."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy
from llama_cpp import Llama

TINY = os.path.join(os.path.dirname(__file__), "../../tests/data/tiny")
# Those that GGUF has words for; llama.cpp knows no window of Mistral's, and no layers without experts.
NAMES = ["llama-f32", "llama-bf16-sharded", "llama3rope-f16", "qwen2-bf16", "qwen3-bf16", "gemma3-six", "phi3-bf16",
         "gpt2-f32"]


def tensors(path):
    """A safetensors file of f32 and i32."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    kinds = {"F32": numpy.float32, "I32": numpy.int32}
    return {name: numpy.frombuffer(data[slice(*entry["data_offsets"])], kinds[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kaiwu", default="target/release/kaiwu")
    kaiwu = parser.parse_args().kaiwu
    far = []
    for name in NAMES:
        folder = os.path.join(TINY, name)
        expected = tensors(os.path.join(folder, "expected.safetensors"))
        ids, wanted = expected["input_ids"].tolist(), expected["logits"]
        with tempfile.TemporaryDirectory() as temporary:
            path = os.path.join(temporary, "model.gguf")
            # In f32: for other types llama.cpp rounds the activations, too. It expects tokens of the real Phi-3 in a model
            # that is called so.
            command = [kaiwu, "convert", "-m", folder, "-o", path, "--quantize", "f32", "--name", "checkpoint"]
            if not os.path.exists(os.path.join(folder, "tokenizer.json")):
                command.append("--no-tokenizer")
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            # Keys and values in f32, so that what is left is the order of sums.
            model = Llama(path, n_ctx=256, n_batch=256, logits_all=True, type_k=0, type_v=0, verbose=False)
            model.eval(ids)
            found = numpy.array(model.scores[:len(ids)])
            text = "the moment of insight: é 猫"
            pieces = "" if "--no-tokenizer" in command else model.tokenize(text.encode(), add_bos=False, special=True)
            model.close()
        difference = numpy.abs(found - wanted)
        alike = float((found.argmax(1) == wanted.argmax(1)).mean())
        within = bool((difference <= 2e-3 + 1e-3 * numpy.abs(wanted)).all())
        print(f"{name:20} largest difference {difference.max():.5f}, {'within' if within else 'BEYOND'} the tests' bound, "
              f"same likeliest token {alike:.1%}" + (f", {len(pieces)} tokens" if pieces else ""))
        far += [] if within else [name]
    sys.exit(f"too far: {', '.join(far)}" if far else 0)


if __name__ == "__main__":
    main()
