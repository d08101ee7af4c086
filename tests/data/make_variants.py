"""Tiny random checkpoints of settings that `make_tiny.py` leaves out, with logits computed in float32 on the CPU.

Usage: python make_variants.py FOLDER [NAME...]. They have no tokenizer: what is tested is the forward pass."""
import os, shutil, sys
import torch
from safetensors.torch import save_file
from transformers.models.gemma3 import modeling_gemma3
from transformers import (Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig,
                          LlamaForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3MoeConfig, Qwen3MoeForCausalLM)

# transformers 5.23.0 reads attn_logit_softcapping of Gemma 3 and forgets to hand it to the attention.
plain = modeling_gemma3.eager_attention_forward
modeling_gemma3.eager_attention_forward = lambda module, *arguments, **named: plain(
    module, *arguments, **(named | dict(softcap=module.attn_logit_softcapping)))

V = 128
COMMON = dict(vocab_size=V, hidden_size=32, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0, eos_token_id=2, pad_token_id=None)

MODELS = {
    "llama-linear-bias": lambda: LlamaForCausalLM(LlamaConfig(
        **COMMON, attention_bias=True, rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.5))),
    "qwen2-yarn-window": lambda: Qwen2ForCausalLM(Qwen2Config(
        **COMMON, use_sliding_window=True, sliding_window=9, max_window_layers=1,
        rope_parameters=dict(rope_type="yarn", rope_theta=1000.0, factor=4.0, original_max_position_embeddings=32))),
    "phi3-long-partial": lambda: Phi3ForCausalLM(Phi3Config(
        **(COMMON | dict(hidden_size=64)), original_max_position_embeddings=4,
        rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.5,
                             original_max_position_embeddings=4, factor=64.0,
                             short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.0, 1.5, 3.0, 8.0]))),
    "gemma3-caps": lambda: Gemma3ForCausalLM(Gemma3TextConfig(
        **COMMON, head_dim=24, query_pre_attn_scalar=40, sliding_window=6, attn_logit_softcapping=5.0,
        final_logit_softcapping=4.0,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters=dict(full_attention=dict(rope_type="linear", rope_theta=1000000.0, factor=8.0),
                             sliding_attention=dict(rope_type="default", rope_theta=10000.0)))),
    # Layer 1 without experts; the chosen ones' shares add up to 1.
    "qwen3moe-renormalised": lambda: Qwen3MoeForCausalLM(Qwen3MoeConfig(
        **(COMMON | dict(hidden_size=64)), head_dim=16, moe_intermediate_size=48, num_experts=8,
        num_experts_per_tok=3, norm_topk_prob=True, mlp_only_layers=[1])),
    # Every second layer with experts; the shares are what they are among all.
    "qwen3moe-every-second": lambda: Qwen3MoeForCausalLM(Qwen3MoeConfig(
        **(COMMON | dict(num_hidden_layers=2)), head_dim=16, moe_intermediate_size=80, num_experts=6,
        num_experts_per_tok=2, norm_topk_prob=False, decoder_sparse_step=2)),
    # What GGUF files can say of Gemma: every sixth layer sees all.
    "gemma3-six": lambda: Gemma3ForCausalLM(Gemma3TextConfig(
        **(COMMON | dict(num_hidden_layers=6)), head_dim=16, query_pre_attn_scalar=16, sliding_window=8)),
    # The 40 tokens are long, the first 32 of them are short.
    "phi3-long-short": lambda: Phi3ForCausalLM(Phi3Config(
        **(COMMON | dict(hidden_size=64, max_position_embeddings=128)), original_max_position_embeddings=32,
        rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, original_max_position_embeddings=32, factor=4.0,
                             short_factor=[1.0, 1.05, 1.1, 1.2, 1.3, 1.4, 1.6, 2.0],
                             long_factor=[1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0]))),
    # A width that fills no tile, so that the biases of gate and up have a gap between them.
    "llama-mlp-bias": lambda: LlamaForCausalLM(LlamaConfig(
        **(COMMON | dict(intermediate_size=100)), mlp_bias=True)),
    # GELU by the error function, and scores that shrink from layer to layer.
    "gpt2-exact": lambda: GPT2LMHeadModel(GPT2Config(
        vocab_size=V, n_positions=64, n_embd=32, n_layer=3, n_head=4, n_inner=160, activation_function="gelu",
        scale_attn_by_inverse_layer_idx=True, bos_token_id=0, eos_token_id=2, pad_token_id=None)),
}


def make(folder, name, build, seed):
    out = os.path.join(folder, name)
    shutil.rmtree(out, ignore_errors=True)
    torch.manual_seed(seed)
    model = build().eval().float()
    with torch.no_grad():
        for parameter in model.parameters():
            # Random gains and biases, so that one left out shows.
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
            else:
                parameter.mul_(4.0)
    kind = type(model)
    model.to(torch.bfloat16).save_pretrained(out)
    model = kind.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(seed + 1)
    ids = torch.randint(3, V, (1, 40), generator=generator)
    with torch.no_grad():
        logits = model(ids).logits[0].float()
        greedy = model.generate(ids[:, :8], max_new_tokens=24, do_sample=False, pad_token_id=0)[0]
    tensors = {"input_ids": ids[0].to(torch.int32), "logits": logits.contiguous(),
               "greedy_from_first_8": greedy.to(torch.int32).contiguous()}
    if name == "phi3-long-short":
        with torch.no_grad():
            tensors["logits_short"] = model(ids[:, :32]).logits[0].float().contiguous()
    save_file(tensors, os.path.join(out, "expected.safetensors"))
    print(name, sum(p.numel() for p in model.parameters()), "weights, deviation of logits", logits.std().item())


if __name__ == "__main__":
    for seed, (name, build) in enumerate(MODELS.items()):
        if name in sys.argv[2:] or not sys.argv[2:]:
            make(sys.argv[1], name, build, 100 + 10 * seed)
