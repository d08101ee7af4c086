"""PEFT's logits, in float32 on the CPU, with an adapter that kaiwu wrote. Every tensor of it must have found its place.

Usage: python make_exported.py CHECKPOINT WRITTEN FOLDER: copies WRITTEN to FOLDER, with expected.safetensors."""
import json, os, shutil, sys
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from make_lora import logits
from transformers import AutoModelForCausalLM

if __name__ == "__main__":
    checkpoint, written, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    for name in ["adapter_config.json", "adapter_model.safetensors"]:
        shutil.copy(os.path.join(written, name), folder)
    base = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").eval()
    ids = load_file(os.path.join(checkpoint, "expected.safetensors"))["input_ids"].long()[None]
    before = logits(base, ids)
    model = PeftModel.from_pretrained(base, folder).eval()
    there, file = get_peft_model_state_dict(model), load_file(os.path.join(folder, "adapter_model.safetensors"))
    assert there.keys() == file.keys(), there.keys() ^ file.keys()
    assert all(torch.equal(there[name], file[name]) for name in file)
    expected = {"input_ids": ids[0].to(torch.int32), "logits": logits(model, ids)}
    save_file(expected, os.path.join(folder, "expected.safetensors"))
    config = json.load(open(os.path.join(folder, "adapter_config.json")))
    print(folder, "of", config["base_model_name_or_path"], len(file), "tensors; logits moved by at most",
          (expected["logits"] - before).abs().max().item())
