#!/usr/bin/env python3
"""Prints, as JSON, what Hugging Face's classes take for every key that a model's files leave out."""

import json
import os

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import transformers
from fixture_folder import published_form
from image_towers import processor_class

CONFIGS = [
    "Qwen2Config", "LlamaConfig", "CLIPConfig", "CLIPVisionConfig", "SiglipConfig", "SiglipVisionConfig", "Dinov2Config", "HubertConfig",
    "WavLMConfig", "Data2VecAudioConfig",
]
PROCESSORS = ["CLIPImageProcessor", "BitImageProcessor", "SiglipImageProcessor"]


def main() -> None:
    configs = {}
    for name in CONFIGS:
        config = getattr(transformers, name)()
        configs[name] = {"published": published_form(config), "transformers5": json.loads(config.to_json_string(use_diff=False))}
    preprocessors = {name: json.loads(processor_class(name)().to_json_string()) for name in PROCESSORS}
    preprocessors["Wav2Vec2FeatureExtractor"] = json.loads(transformers.Wav2Vec2FeatureExtractor().to_json_string())
    print(json.dumps({"configs": configs, "preprocessors": preprocessors}))


if __name__ == "__main__":
    main()
