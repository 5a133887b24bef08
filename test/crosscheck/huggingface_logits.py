"""Loads a folder of `affectgpt export hf` with transformers and peft, and writes the scores that both give.

For each list of token ids of the request: float32 scores of `merged/`, then those of base model and `adapter/`.
"""

import argparse
import json
from pathlib import Path

import numpy
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def scores(model, sequences: list[list[int]]) -> numpy.ndarray:
    model.eval()
    with torch.no_grad():
        rows = [model(input_ids=torch.tensor([ids])).logits[0] for ids in sequences]
    return torch.cat(rows).float().numpy()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    request = json.loads(arguments.request.read_text())
    sequences = request["sequences"]
    merged_folder, adapter_folder = arguments.folder / "merged", arguments.folder / "adapter"

    merged = AutoModelForCausalLM.from_pretrained(merged_folder, dtype="auto")
    results = [scores(merged, sequences)]
    if adapter_folder.exists():
        base = AutoModelForCausalLM.from_pretrained(request["base"], dtype=torch.float32)
        results.append(scores(PeftModel.from_pretrained(base, adapter_folder), sequences))
        # With the base model found by what adapter_config.json says.
        by_itself = AutoPeftModelForCausalLM.from_pretrained(adapter_folder, dtype=torch.float32)
        results.append(scores(by_itself, sequences))
    numpy.concatenate(results).astype("<f4").tofile(arguments.out)

    tokenizer = AutoTokenizer.from_pretrained(merged_folder)
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in request["texts"]]
    prompt = json.loads((arguments.folder / "affectgpt.json").read_text())["prompt"]
    tokenizer.add_tokens([placeholder["text"] for placeholder in prompt["placeholders"]], special_tokens=True)
    text = "".join(
        segment.get("text") or segment.get("placeholder", "") * segment.get("tokens", 1) for segment in prompt["segments"]
    )
    fusion = load_file(arguments.folder / "affectgpt.safetensors")
    print(
        json.dumps(
            {
                "dtype": str(merged.dtype),
                "parameters": sum(parameter.numel() for parameter in merged.parameters()),
                "tied": merged.get_input_embeddings().weight is merged.get_output_embeddings().weight,
                "ids": ids,
                "prompt": tokenizer.encode(text, add_special_tokens=False),
                "fusion": {name: list(tensor.shape) for name, tensor in fusion.items()},
            }
        )
    )


main()
