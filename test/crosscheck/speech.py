"""HubertModel, WavLMModel and Data2VecAudioModel with their feature extractor."""

import math
from pathlib import Path

import numpy
import torch
from fixture_folder import FixtureFolder, draw_weights, in_double, saved_tensors, usual_rule, write_json, write_model

OLDER_NAMES = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}


def speech_rule(settings: dict):
    last = len(settings["conv_dim"]) - 1
    per_layer_norm = settings.get("feat_extract_norm", "layer") == "layer"

    def rule(name: str, parameter) -> tuple[float, float]:
        if name.endswith("original0"):
            return 1.8, 0.3
        if name.endswith("original1"):
            return 0.0, 0.115
        if "gru_rel_pos_const" in name:
            return 1.0, 0.3
        if "gru_rel_pos_linear.weight" in name:
            return 0.0, 0.4
        if "rel_attn_embed" in name:
            return 0.0, 0.7
        if "conv.weight" in name and "pos_conv" not in name:
            # Small under norms, so that their epsilon shows.
            return 0.0, (0.1 if per_layer_norm else 1.5) / math.sqrt(parameter[0].numel())
        if "conv" in name and name.endswith("conv.weight"):
            return 0.0, 0.1 / math.sqrt(parameter[0].numel())
        if "conv.bias" in name:
            return 0.0, 0.02
        if per_layer_norm and f"conv_layers.{last}.layer_norm" in name:
            return (0.1, 0.02) if name.endswith("weight") else (0.0, 0.01)
        if "intermediate_dense.weight" in name:
            return 0.0, 1.5 / math.sqrt(parameter[0].numel())
        return usual_rule(name, parameter)

    return rule


def draw_waveform(generator: numpy.random.Generator, clips: int, samples: int) -> torch.Tensor:
    time = numpy.arange(samples) / 16000
    rows = []
    for _ in range(clips):
        voice = sum(generator.uniform(0.05, 0.3) * numpy.sin(6.283 * generator.uniform(80, 3000) * time + generator.uniform(0, 6)) for _ in range(4))
        rows.append(voice + generator.normal(0, 0.05, samples) + generator.uniform(-0.05, 0.05))
    return torch.from_numpy(numpy.stack(rows).astype(numpy.float32))


def make_speech(folder: Path, kind: str, variant: dict, seed: int) -> None:
    import transformers
    from transformers import Wav2Vec2FeatureExtractor

    stem = {"hubert": "Hubert", "wavlm": "WavLM", "data2vec_audio": "Data2VecAudio"}[kind]
    layers = variant.get("conv_layers", 7)
    settings = {
        "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 32,
        "conv_dim": [32] * layers, "num_conv_pos_embedding_groups": 4,
    }
    if kind != "data2vec_audio":
        settings |= {"num_conv_pos_embeddings": 16, "do_stable_layer_norm": True, "feat_extract_norm": "layer"}
    if kind == "wavlm":
        settings |= {"num_buckets": 32, "max_bucket_distance": 60}
    settings |= variant.get("config", {})
    config = getattr(transformers, f"{stem}Config")(**settings)
    config._attn_implementation = "eager"
    model = getattr(transformers, f"{stem}Model")(config).eval()
    draw_weights(model, seed, speech_rule(settings), variant)

    fixture = FixtureFolder(folder, kind, f"{stem} {variant}", f"transformers.{stem}Model", seed, [
        "input_values: each clip normalised by itself; input_values_joint: one mean and variance over all clips. No attention mask.",
        "hidden_states[0] is the input of the first layer, hidden_states[i] the output of layer i.",
        "features = mean of hidden_states[-4:] then mean over time; features_joint the same from input_values_joint.",
        "With stable layer norm the last entry of hidden_states is after the encoder's final layer norm, as in transformers 4.",
    ])
    tensors = saved_tensors(model, variant)
    if "prefix" in variant:
        tensors |= {"lm_head.weight": torch.zeros(32, config.hidden_size), "lm_head.bias": torch.zeros(32)}
    older = tensors
    for new, old in OLDER_NAMES.items():
        older = {name.replace(new, old): tensor for name, tensor in older.items()}
    layout = variant.get("layout", "safetensors")
    architecture = variant.get("architecture", f"{stem}Model")
    write_model(folder, older if layout.endswith("torch") else tensors, config, architecture, variant)
    if kind != "data2vec_audio" and layout == "safetensors":
        from safetensors.torch import save_file

        save_file({name: tensor.contiguous() for name, tensor in older.items()}, str(folder / "model.weight_g.safetensors"), {"format": "pt"})
    preprocessor = {
        "do_normalize": True, "feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1, "padding_side": "right",
        "padding_value": 0, "return_attention_mask": True, "sampling_rate": 16000, **variant.get("preprocessor", {}),
    }
    for key in variant.get("preprocessor_without", []):
        preprocessor.pop(key)
    write_json(folder / "preprocessor_config.json", preprocessor)

    wave = draw_waveform(numpy.random.default_rng(seed), variant.get("clips", 2), variant.get("samples", 8000))
    fixture.add_input("waveform", wave)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    values = extractor(list(wave.numpy()), sampling_rate=16000, return_tensors="pt").input_values
    together = wave.numpy()
    if extractor.do_normalize:
        together = (together - together.mean()) / numpy.sqrt(together.var() + 1e-7)
    joint = torch.from_numpy(together)
    fixture.add_expected("input_values", values)
    fixture.add_expected("input_values_joint", joint)
    stable = getattr(config, "do_stable_layer_norm", False)

    @torch.no_grad()
    def compute(given, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs: list[torch.Tensor] = []
        hook = given.encoder.layers[-1].register_forward_hook(
            lambda _, __, out: outputs.append(out[0] if isinstance(out, tuple) else out)
        )
        seen = given(inputs, output_hidden_states=True)
        hook.remove()
        states = torch.stack([*seen.hidden_states[:-1], seen.last_hidden_state])
        result = {
            "conv_features": given.feature_extractor(inputs).transpose(1, 2),
            "hidden_states": states,
            "features": states[-4:].mean(0).mean(1),
        }
        if stable:
            result["last_layer_before_norm"] = outputs[0]
        return result

    double = in_double(model)
    fixture.add_all_expected(compute(model, values), compute(double, values.double()))
    fixture.add_expected("features_joint", compute(model, joint)["features"], compute(double, joint.double())["features"])
    fixture.write()
