#!/usr/bin/env python3
"""Reference results of Hugging Face's classes, peft and torch.optim.AdamW on small random models.

  make_fixtures.py --out DIR [--seed N] [--only KIND] [--list]

Writes one folder a variant, `KIND-VARIANT`, in the format that test/fixtures/README.md describes. Needs torch, transformers 5, peft,
safetensors, numpy and pillow. `npm run parity -- DIR/*` compares with them.
"""

import argparse
import os
import sys
import zlib
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from decoders import make_decoder, make_lora
from image_towers import make_clip, make_dinov2, make_siglip
from small_parts import make_adamw, make_qformer
from speech import make_speech

THETA = lambda value: {"rope_type": "default", "rope_theta": value}
LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
BASE = {"do_stable_layer_norm": False, "feat_extract_norm": "group", "conv_bias": False}

# What makes the folders of a kind; of every variant only what differs from the usual one.
VARIANTS = {
    "qwen2": (make_decoder, {
        "tied": {"config": {"tie_word_embeddings": True}},
        "untied": {},
        "mha": {"config": {"num_key_value_heads": 4, "rope_parameters": THETA(10_000.0)}},
        "mqa": {"config": {"num_key_value_heads": 1, "num_hidden_layers": 3}},
        "eps": {"config": {"rms_norm_eps": 1e-5, "rope_parameters": THETA(5e5)}},
        "head-dim": {"config": {"head_dim": 24, "tie_word_embeddings": True}},
        "vocabulary": {"config": {"vocab_size": 1517, "hidden_size": 48, "tie_word_embeddings": True}, "tokens": 21},
        "one-row": {"rows": 1, "tokens": 40, "prompt": 19, "new": 8},
        "many-rows": {"rows": 5, "tokens": 17},
        "long": {"rows": 1, "tokens": 400, "prompt": 200, "config": {"head_dim": 96, "max_position_embeddings": 512, "rope_parameters": THETA(10_000.0)}},
        "bf16-sharded": {"dtype": "bfloat16", "layout": "sharded-safetensors", "form": "transformers5"},
        "fp16-torch": {"dtype": "float16", "layout": "torch", "config": {"tie_word_embeddings": True}},
        "sparse-torch-sharded": {"layout": "sharded-torch", "form": "sparse"},
    }),
    "llama": (make_decoder, {
        "bare": {},
        "tied-gqa": {"config": {"num_attention_heads": 6, "hidden_size": 48, "num_key_value_heads": 2, "tie_word_embeddings": True}},
        "biased": {"config": {"attention_bias": True, "mlp_bias": True}},
        "attention-bias": {"config": {"attention_bias": True, "num_key_value_heads": 4}},
        "mlp-bias": {"config": {"mlp_bias": True, "rms_norm_eps": 1e-5, "rope_parameters": THETA(10_000.0)}},
        "head-dim": {"config": {"head_dim": 8}},
        "sparse": {"form": "sparse", "config": {"num_key_value_heads": None, "rope_parameters": THETA(10_000.0)}, "dtype": "bfloat16"},
        "one-row": {"rows": 1, "tokens": 33, "padded": False},
    }),
    "qwen2_lora": (make_lora, {
        "seven": {},
        "rank-1": {"rank": 1, "alpha": 2},
        "rank-16": {"rank": 16, "alpha": 32, "training": {"steps": 3, "lr": 2e-4, "weight_decay": 0.0}},
        "attention": {"targets": ["q_proj", "v_proj"], "rank": 8, "alpha": 16, "training": {"steps": 8}},
        "mlp": {"targets": ["gate_proj", "up_proj", "down_proj"], "alpha": 5, "training": {"betas": [0.9, 0.95], "eps": 1e-6}},
        "untied": {"config": {"num_key_value_heads": 4}, "rows": 3, "tokens": 11},
        "llama": {"family": "llama", "config": {"attention_bias": True}, "rank": 3, "alpha": 7},
        "rank-stabilised": {"rank": 9, "alpha": 6, "rank_stabilised": True},
        "bf16": {"dtype": "bfloat16", "layout": "sharded-safetensors"},
    }),
    "clip_vision": (make_clip, {
        "whole": {},
        "gelu": {"config": {"hidden_act": "gelu", "layer_norm_eps": 1e-6}},
        "projection": {"whole": False, "form": "sparse", "processor_form": "old"},
        "projection-fp16": {"whole": False, "dtype": "float16", "layout": "torch"},
        "patch-8": {"config": {"patch_size": 8, "image_size": 64, "projection_dim": 20}, "images": [(64, 64), (700, 40), (30, 31)]},
        "not-divisible": {"config": {"patch_size": 16, "image_size": 56, "num_hidden_layers": 2}, "images": [(57, 400)]},
        "sparse": {"form": "sparse", "processor_form": "sparse", "config": {"hidden_act": "gelu_new"}},
        "sharded-bf16": {"dtype": "bfloat16", "layout": "sharded-safetensors", "processor": {"resample": 2}},
        "other-size": {"processor": {"size": {"shortest_edge": 70}}, "images": [(56, 56), (140, 71)]},
        "no-crop": {"processor": {"do_center_crop": False, "do_normalize": False}, "images": [(90, 90), (56, 56), (20, 20)]},
        "larger-crop": {"processor": {"size": {"shortest_edge": 41}, "resample": 1}, "images": [(60, 50), (33, 99)]},
    }),
    "dinov2": (make_dinov2, {
        "interpolated": {"images": [(97, 131), (71, 66)]},
        "same-size": {"crop": (70, 70), "processor": {"size": {"shortest_edge": 80}}},
        "larger": {"crop": (98, 98), "processor": {"size": {"shortest_edge": 110}}, "config": {"image_size": [42, 42]}},
        "swiglu": {"config": {"use_swiglu_ffn": True}},
        "swiglu-odd": {"config": {"use_swiglu_ffn": True, "mlp_ratio": 3, "hidden_size": 40}, "dtype": "bfloat16"},
        "rectangle": {"crop": (56, 84), "processor": {"size": {"shortest_edge": 90}}},
        "same-count": {"crop": (28, 112), "processor": {"size": {"shortest_edge": 120}}, "config": {"image_size": 56}},
        "no-qkv-bias": {"config": {"qkv_bias": False, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5}, "crop": (59, 62)},
        "classifier": {"prefix": "dinov2.", "architecture": "Dinov2ForImageClassification", "form": "sparse", "layout": "sharded-torch"},
        "old-form": {"processor_form": "old", "config": {"patch_size": 8, "image_size": 40}, "dtype": "float16", "layout": "torch"},
    }),
    "siglip_vision": (make_siglip, {
        "not-divisible": {},
        "divisible": {"config": {"image_size": 64, "patch_size": 16}, "images": [(64, 64), (90, 200), (31, 30)]},
        "gelu": {"config": {"hidden_act": "gelu", "layer_norm_eps": 1e-5, "image_size": 56}, "processor": {"do_rescale": False, "resample": 2}},
        "tower": {"whole": False, "form": "sparse", "processor_form": "sparse"},
        "tower-prefixed": {"whole": False, "prefix": "vision_model.", "dtype": "float16", "layout": "torch"},
        "old-form": {"processor_form": "old", "images": [(97, 131), (41, 37)]},
        "sharded-bf16": {"dtype": "bfloat16", "layout": "sharded-safetensors", "config": {"vision_use_head": False}},
    }),
    "hubert": (make_speech, {
        "large": {"config": LARGE | {"num_hidden_layers": 5}},
        "base": {"config": BASE},
        "base-biased": {"config": BASE | {"conv_bias": True, "feat_proj_layer_norm": False}, "preprocessor": {"do_normalize": False}},
        "stable-group": {"config": BASE | {"do_stable_layer_norm": True}, "form": "sparse", "preprocessor_without": ["do_normalize"]},
        "kernels": {"config": LARGE | {"conv_dim": [16, 24, 32, 20], "conv_kernel": [8, 4, 5, 2], "conv_stride": [4, 3, 2, 2]}, "samples": 2500, "clips": 3},
        "odd-position": {"config": LARGE | {"num_conv_pos_embeddings": 9, "num_conv_pos_embedding_groups": 2}, "clips": 1},
        "gelu-new": {"config": LARGE | {"hidden_act": "gelu_new", "feat_extract_activation": "gelu_new", "layer_norm_eps": 1e-6}},
        "ctc-torch": {"config": LARGE, "prefix": "hubert.", "architecture": "HubertForCTC", "layout": "torch", "dtype": "float16"},
        "bf16-sharded": {"config": LARGE, "dtype": "bfloat16", "layout": "sharded-safetensors"},
    }),
    "wavlm": (make_speech, {
        "large": {"config": {"conv_dim": [24] * 7}},
        "base": {"config": BASE, "preprocessor": {"do_normalize": False}},
        "buckets": {"config": {"num_buckets": 12, "max_bucket_distance": 9, "num_attention_heads": 2}, "samples": 12000},
        "default-buckets": {"config": {"num_buckets": 320, "max_bucket_distance": 800}, "form": "sparse", "samples": 32000, "preprocessor_without": ["do_normalize"]},
        "odd-position": {"config": {"num_conv_pos_embeddings": 7, "num_hidden_layers": 3, "conv_bias": True}, "clips": 1},
        "ctc-torch": {"prefix": "wavlm.", "architecture": "WavLMForCTC", "layout": "sharded-torch", "dtype": "bfloat16"},
    }),
    "data2vec_audio": (make_speech, {
        "base": {},
        "positions": {"config": {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 8, "num_conv_pos_embedding_groups": 8}, "clips": 3},
        "biased": {"config": {"conv_bias": True, "layer_norm_eps": 1e-6}, "preprocessor": {"do_normalize": False}},
        "kernels": {"config": {"conv_dim": [16, 24, 20], "conv_kernel": [12, 4, 3], "conv_stride": [8, 3, 2]}, "samples": 3000},
        "sparse": {"form": "sparse", "config": {"num_hidden_layers": 3}, "dtype": "bfloat16", "layout": "sharded-safetensors"},
        "ctc-torch": {"prefix": "data2vec_audio.", "architecture": "Data2VecAudioForCTC", "layout": "torch", "dtype": "float16"},
    }),
    "bert_qformer": (make_qformer, {
        "usual": {},
        "one-layer": {"config": {"num_hidden_layers": 1, "num_attention_heads": 6}, "sizes": (1, 1, 1)},
        "three-layers": {"config": {"num_hidden_layers": 3, "hidden_size": 32, "encoder_hidden_size": 56}, "sizes": (3, 4, 20)},
        "eps": {"config": {"layer_norm_eps": 1e-5, "intermediate_size": 40}, "dtype": "bfloat16", "layout": "sharded-safetensors"},
        "every-second-layer": {"config": {"num_hidden_layers": 4, "cross_attention_frequency": 2}},
        "upstream-names": {"names": "upstream", "layout": "torch", "sizes": (2, 32, 7)},
    }),
    "adamw": (make_adamw, {
        "usual": {},
        "long": {"steps": 60},
        "groups": {"steps": 7, "groups": [
            {"shape": [1], "weight_decay": 0.5, "betas": [0.0, 0.9], "eps": 1e-8},
            {"shape": [2, 3], "weight_decay": 0.01, "betas": [0.95, 0.98], "eps": 1e-3},
        ]},
        "tiny-gradients": {"gradient_sizes": [1e-7, 1e-5, 1e3]},
    }),
}


def seed_of(kind: str, name: str, seed: int) -> int:
    return zlib.crc32(f"{kind}/{name}".encode()) % 100_000 * 1000 + 10 * seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=VARIANTS, help="one kind")
    parser.add_argument("--list", action="store_true", help="print the names of the folders and write nothing")
    arguments = parser.parse_args()
    chosen = {arguments.only: VARIANTS[arguments.only]} if arguments.only else VARIANTS
    if not arguments.list and arguments.out is None:
        parser.error("--out is needed")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for kind, (make, variants) in chosen.items():
        for name, variant in variants.items():
            folder = f"{kind}-{name}"
            if not arguments.list:
                make(arguments.out / folder, kind, variant, seed_of(kind, name, arguments.seed))
            print(folder, flush=True)


if __name__ == "__main__":
    sys.exit(main())
