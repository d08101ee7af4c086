"""Random LoRA adapters for the tiny checkpoints, by PEFT, with the logits that it computes in float32 on the CPU.

Usage: python make_lora.py TINY FOLDER, TINY being where the checkpoints are."""
import os, shutil, sys
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Checkpoint, adapter, its settings, and the scale it is used with beside the one before it (None for alone). The numbers of
# those named -large are 0.25 times normal ones instead of 0.1.
ADAPTERS = [
    ("llama-f32", "llama-all", dict(r=4, lora_alpha=8, target_modules=LINEAR), None),
    ("llama-f32", "llama-patterns", dict(r=3, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "k_proj", "down_proj"],
                                         rank_pattern={"layers.1.self_attn.k_proj": 5},
                                         alpha_pattern={"down_proj": 11}), 0.5),
    ("qwen2-bf16", "qwen2-biases", dict(r=8, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj"],
                                        layers_to_transform=[0, 2]), None),
    ("gemma3-bf16", "gemma3-all", dict(r=2, lora_alpha=4, target_modules=LINEAR), None),
    ("phi3-bf16", "phi3-fused", dict(r=4, lora_alpha=4, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]), None),
    ("gpt2-f32", "gpt2-transposed", dict(r=4, lora_alpha=4, fan_in_fan_out=True,
                                         target_modules=["c_attn", "c_proj", "c_fc"]), None),
    ("llama-f32", "llama-large", dict(r=4, lora_alpha=8, target_modules=LINEAR), None),
    ("gemma3-bf16", "gemma3-large", dict(r=2, lora_alpha=4, target_modules=LINEAR), None),
]


def base(tiny, name):
    return AutoModelForCausalLM.from_pretrained(os.path.join(tiny, name), dtype=torch.float32, attn_implementation="eager").eval()


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits[0].float().contiguous()


if __name__ == "__main__":
    tiny, folder = sys.argv[1:]
    before = None
    for seed, (checkpoint, name, settings, beside) in enumerate(ADAPTERS):
        torch.manual_seed(seed)
        out = os.path.join(folder, name)
        shutil.rmtree(out, ignore_errors=True)
        model = get_peft_model(base(tiny, checkpoint), LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                if "lora_" in parameter_name:
                    parameter.copy_((0.25 if name.endswith("-large") else 0.1) * torch.randn_like(parameter))
        model.save_pretrained(out)
        os.remove(os.path.join(out, "README.md"))
        ids = load_file(os.path.join(tiny, checkpoint, "expected.safetensors"))["input_ids"].long()[None]
        plain = base(tiny, checkpoint)
        expected = {"input_ids": ids[0].to(torch.int32), "logits": logits(model, ids)}
        if beside is not None:
            both = PeftModel.from_pretrained(plain, os.path.join(folder, before), adapter_name="first").eval()
            both.load_adapter(out, adapter_name="second")
            both.base_model.set_adapter(["first", "second"])
            for module in both.modules():
                if isinstance(getattr(module, "scaling", None), dict) and "second" in module.scaling:
                    module.scaling["second"] *= beside
            expected["logits_beside"] = logits(both, ids)
        save_file(expected, os.path.join(out, "expected.safetensors"))
        difference = (expected["logits"] - logits(base(tiny, checkpoint), ids)).abs().max().item()
        print(name, "moves logits by at most", difference, sorted(os.listdir(out)))
        before = name
