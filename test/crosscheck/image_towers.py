"""CLIP's and SigLIP's image towers and DINOv2, with their image processors."""

import math
from pathlib import Path

import numpy
import torch
from fixture_folder import FixtureFolder, draw_weights, in_double, published_form, saved_tensors, usual_rule, write_json, write_model

CLIP_NORM = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
IMAGENET_NORM = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF_NORM = ([0.5] * 3, [0.5] * 3)


def processor_class(name: str):
    """The one that resizes with Pillow."""
    import transformers

    return getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)


def draw_image(generator: numpy.random.Generator, height: int, width: int) -> numpy.ndarray:
    """Colour gradients, edges and noise, up to black and white."""
    y, x = numpy.mgrid[0:height, 0:width]
    phases = generator.uniform(0, 6.28, 3)
    waves = numpy.stack([numpy.sin(x * generator.uniform(0.02, 0.4) + y * generator.uniform(0.02, 0.4) + p) for p in phases], -1)
    noise = generator.normal(0, 40, (height, width, 3))
    image = 128 + 110 * waves + noise
    image[height // 3 : height // 2, width // 4 : width // 2] = generator.choice([0, 255])
    return numpy.clip(image, 0, 255).astype(numpy.uint8)


def tower_rule(name: str, parameter) -> tuple[float, float]:
    if "patch_embedding" in name and parameter.ndim == 4:
        return 0.0, 0.06 / math.sqrt(parameter[0].numel())
    return usual_rule(name, parameter)


def processor_forms(name: str, settings: dict) -> dict[str, dict]:
    """`preprocessor_config.json` as published now, as published in 2021, and without what the class takes by itself."""
    mean, std = settings["norm"]
    full = {
        "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": mean,
        "image_processor_type": name, "image_std": std, "resample": 3, "rescale_factor": 0.00392156862745098,
        **{key: value for key, value in settings.items() if key != "norm"},
    }
    newer = ("do_rescale", "rescale_factor", "do_convert_rgb", "image_processor_type")
    old = {key: value for key, value in full.items() if key not in newer}
    old["feature_extractor_type"] = name.replace("ImageProcessor", "FeatureExtractor")
    old["size"] = next(iter(full["size"].values()))
    if "crop_size" in full:
        old["crop_size"] = full["crop_size"]["height"]

    def default(key: str):
        value = getattr(processor_class(name), key, None)
        return list(value) if isinstance(value, tuple) else value

    sparse = {key: value for key, value in full.items() if key != "image_processor_type" and default(key) != value}
    return {"full": full, "old": old, "sparse": sparse}


def prepare(fixture: FixtureFolder, name: str, settings: dict, variant: dict, seed: int) -> torch.Tensor:
    """Draws images, writes the settings of the processor and what it makes of the images; returns their pixels."""
    generator = numpy.random.default_rng(seed)
    forms = processor_forms(name, settings)
    arguments = {key: value for key, value in forms["full"].items() if key != "image_processor_type"}
    processor = processor_class(name)(**arguments)
    processor.save_pretrained(fixture.folder)
    written = fixture.folder / "preprocessor_config.json"
    written.rename(fixture.folder / "preprocessor_config.transformers5.json")
    write_json(written, forms[variant.get("processor_form", "full")])
    bytes_only = processor_class(name)(**{**arguments, "do_rescale": False, "do_normalize": False})
    images = [draw_image(generator, *size) for size in variant.get("images", [(97, 131), (41, 37)])]
    for index, image in enumerate(images):
        fixture.add_input(f"image.{index}", torch.from_numpy(image))

    def process(given) -> torch.Tensor:
        rows = [numpy.asarray(given(image, return_tensors="np")["pixel_values"]) for image in images]
        return torch.from_numpy(numpy.concatenate(rows))

    pixels = process(processor).float()
    fixture.add_expected("pixel_values", pixels)
    fixture.add_expected("resized_u8", process(bytes_only).to(torch.uint8))
    return pixels


def finish(fixture: FixtureFolder, model, compute, pixels: torch.Tensor) -> None:
    with torch.no_grad():
        fixture.add_all_expected(compute(model, pixels), compute(in_double(model), pixels.double()))
    fixture.write()


def make_clip(folder: Path, kind: str, variant: dict, seed: int) -> None:
    from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    size = variant.get("config", {}).get("image_size", 56)
    vision = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4,
        "image_size": 56, "patch_size": 14, "projection_dim": 48, **variant.get("config", {}),
    }
    whole = variant.get("whole", True)
    if whole:
        text = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 64,
                "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2, "projection_dim": vision["projection_dim"]}
        config = CLIPConfig(vision_config=vision, text_config=text, projection_dim=vision["projection_dim"])
        for part in (config, config.vision_config, config.text_config):
            part._attn_implementation = "eager"
        model = CLIPModel(config).eval()
    else:
        config = CLIPVisionConfig(**vision)
        config._attn_implementation = "eager"
        model = CLIPVisionModelWithProjection(config).eval()
    draw_weights(model, seed, tower_rule, variant)
    architecture = type(model).__name__
    fixture = FixtureFolder(folder, kind, f"CLIP image tower {variant}", f"transformers.{architecture}", seed, [
        "image_features: projected, not L2-normalised. last_hidden_state is before the post-norm.",
        "pixel_values and resized_u8: the image processor with Pillow, to the byte.",
    ])
    tensors = saved_tensors(model, variant)
    if variant.get("position_ids", whole):
        count = model.vision_model.embeddings.position_embedding.weight.shape[0]
        tensors["vision_model.embeddings.position_ids"] = torch.arange(count)[None]
    write_model(folder, tensors, config, architecture, variant)
    if whole:
        # As files of 2021 call the parts.
        renamed = {"vision_config": "vision_config_dict", "text_config": "text_config_dict"}
        older = {renamed.get(key, key): value for key, value in published_form(config).items()}
        write_json(folder / "config.older.json", older)
    settings = {"norm": CLIP_NORM, "size": {"shortest_edge": size}, "do_center_crop": True, "crop_size": {"height": size, "width": size},
                **variant.get("processor", {})}
    pixels = prepare(fixture, "CLIPImageProcessor", settings, variant, seed)

    def compute(given, values: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = given.vision_model(pixel_values=values)
        return {
            "last_hidden_state": seen.last_hidden_state,
            "post_layernorm_cls": seen.pooler_output,
            "image_features": given.visual_projection(seen.pooler_output),
        }

    finish(fixture, model, compute, pixels)


def make_siglip(folder: Path, kind: str, variant: dict, seed: int) -> None:
    from transformers import SiglipConfig, SiglipModel, SiglipVisionConfig, SiglipVisionModel

    vision = {
        "hidden_size": 48, "intermediate_size": 100, "num_hidden_layers": 3, "num_attention_heads": 4,
        "image_size": 60, "patch_size": 14, **variant.get("config", {}),
    }
    size = vision["image_size"]
    if variant.get("whole", True):
        text = {"hidden_size": vision["hidden_size"], "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 64,
                "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2, "projection_size": vision["hidden_size"]}
        config = SiglipConfig(vision_config=vision, text_config=text)
        for part in (config, config.vision_config, config.text_config):
            part._attn_implementation = "eager"
        model = SiglipModel(config).eval()
        tower = lambda given: given.vision_model
    else:
        config = SiglipVisionConfig(**vision)
        config._attn_implementation = "eager"
        model = SiglipVisionModel(config).eval()
        tower = lambda given: given
    draw_weights(model, seed, tower_rule, variant)
    architecture = type(model).__name__
    fixture = FixtureFolder(folder, kind, f"SigLIP image tower {variant}", f"transformers.{architecture}", seed, [
        "features = hidden_states[-1] (before post_layernorm) averaged over the patches.",
        "pixel_values: resized to height x width without a crop.",
    ])
    # transformers 4 wrote a tower alone with the name of the part before it.
    write_model(folder, saved_tensors(model, variant), config, architecture, variant)
    settings = {"norm": HALF_NORM, "size": {"height": size, "width": size}, **variant.get("processor", {})}
    pixels = prepare(fixture, "SiglipImageProcessor", settings, variant, seed)

    def compute(given, values: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = tower(given)(pixel_values=values, output_hidden_states=True)
        states = torch.stack(seen.hidden_states)
        return {"hidden_states": states, "last_hidden_state": seen.last_hidden_state, "features": states[-1].mean(1)}

    finish(fixture, model, compute, pixels)


def make_dinov2(folder: Path, kind: str, variant: dict, seed: int) -> None:
    from transformers import Dinov2Config, Dinov2Model

    settings = {
        "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 70, "patch_size": 14, **variant.get("config", {}),
    }
    config = Dinov2Config(**settings)
    config._attn_implementation = "eager"
    model = Dinov2Model(config).eval()
    draw_weights(model, seed, tower_rule, variant)
    architecture = variant.get("architecture", "Dinov2Model")
    fixture = FixtureFolder(folder, kind, f"DINOv2 {variant}", "transformers.Dinov2Model", seed, [
        "features = hidden_states[-1] (before the final norm) averaged over all tokens, class token included.",
        "last_hidden_state is after the final norm. Positions are interpolated from image_size to the crop.",
    ])
    tensors = saved_tensors(model, variant)
    if "prefix" in variant:
        tensors |= {"classifier.weight": torch.zeros(2, 2 * config.hidden_size), "classifier.bias": torch.zeros(2)}
    write_model(folder, tensors, config, architecture, variant)
    crop = variant.get("crop", (56, 56))
    processor = {"norm": IMAGENET_NORM, "size": {"shortest_edge": 64}, "do_center_crop": True, "crop_size": {"height": crop[0], "width": crop[1]},
                 **variant.get("processor", {})}
    pixels = prepare(fixture, "BitImageProcessor", processor, variant, seed)

    def compute(given, values: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = given(pixel_values=values, output_hidden_states=True)
        states = torch.stack(seen.hidden_states)
        return {"hidden_states": states, "last_hidden_state": seen.last_hidden_state, "features": states[-1].mean(1)}

    finish(fixture, model, compute, pixels)
