"""Writes folders of reference results: what is in them is described in test/fixtures/README.md."""

import json
import math
import platform
import tempfile
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file

# Of the largest expected value, and of the difference to the same computation in double precision.
RELATIVE_FLOOR = 5e-6
NOISE_FACTOR = 20

# Types in which files hold weights.
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def tolerance(noise: float, largest: float) -> float:
    """The smallest number of one significant digit that both rules allow."""
    exact = max(NOISE_FACTOR * noise, RELATIVE_FLOOR * largest)
    if exact == 0:
        return 0.0
    exponent = math.floor(math.log10(exact))
    return float(f"{math.ceil(exact / 10**exponent - 1e-9)}e{exponent}")


def write_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def stored_type(tensor: torch.Tensor) -> torch.Tensor:
    """Ids and masks int32, images uint8, everything else float32."""
    if tensor.dtype == torch.uint8:
        return tensor.contiguous()
    if tensor.dtype in (torch.int64, torch.int32, torch.bool):
        return tensor.to(torch.int32).contiguous()
    return tensor.detach().to(torch.float32).contiguous()


class FixtureFolder:
    """Gathers inputs and expected outputs of one model and writes them out."""

    def __init__(self, folder: Path, kind: str, what: str, class_name: str, seed: int, notes: list[str]):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.tensors: dict[str, torch.Tensor] = {}
        self.described: dict[str, dict] = {}
        import peft
        import transformers

        self.golden = {
            "fixture": kind,
            "what": what,
            "class": class_name,
            "made_with": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "peft": peft.__version__,
                "numpy": numpy.__version__,
                "seed": seed,
                "dtype": "float32",
                "device": "cpu",
                "attention": "eager",
                "dropout": "off (eval)",
            },
            "compare": "max |yours - golden| <= max_abs_diff, per tensor",
            "notes": notes,
        }

    def _store(self, name: str, role: str, tensor: torch.Tensor, more: dict) -> None:
        self.tensors[name] = tensor.clone()
        dtype = str(tensor.dtype).removeprefix("torch.")
        self.described[name] = {"role": role, "dtype": dtype, "shape": list(tensor.shape), **more}

    def add_input(self, name: str, tensor: torch.Tensor) -> None:
        is_double = tensor.dtype == torch.float64
        self._store(name, "input", tensor.contiguous() if is_double else stored_type(tensor), {})

    def add_expected(self, name: str, single: torch.Tensor, *others: torch.Tensor) -> None:
        """`others`: the same in double precision or after a change by one rounding; their largest distance is noise."""
        tensor = stored_type(single)
        largest = tensor.double().abs().max().item()
        noise = max(((other.double() - single.double()).abs().max().item() for other in others), default=0.0)
        is_exact = not tensor.is_floating_point()
        allowed = 0 if is_exact else tolerance(noise, largest)
        more = {"max_abs_diff": allowed, "fp64_noise": float(f"{noise:.2g}"), "max_abs": float(f"{largest:.4g}")}
        self._store(name, "expected", tensor, more)

    def add_all_expected(self, single: dict[str, torch.Tensor], *others: dict[str, torch.Tensor]) -> None:
        for name, tensor in single.items():
            self.add_expected(name, tensor, *(other[name] for other in others))

    def write(self) -> None:
        save_file(self.tensors, str(self.folder / "golden.safetensors"), metadata={"format": "pt"})
        write_json(self.folder / "golden.json", {**self.golden, "tensors": self.described})


def stored_dtype(variant: dict) -> torch.dtype:
    return DTYPES[variant.get("dtype", "float32")]


def saved_tensors(model, variant: dict) -> dict[str, torch.Tensor]:
    """Under the names of published files, which only `save_pretrained` knows: a class may call its parameters otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        stored = load_file(str(Path(folder) / "model.safetensors"))
    prefix = variant.get("prefix", "")
    return {prefix + name: tensor.to(stored_dtype(variant)) for name, tensor in stored.items()}


def write_weights(folder: Path, tensors: dict[str, torch.Tensor], layout: str = "safetensors") -> None:
    """`layout`: `safetensors`, `torch`, or either with `sharded-` before it: two files and an index."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    kind = layout.removeprefix("sharded-")
    stem, ending = {"safetensors": ("model", "safetensors"), "torch": ("pytorch_model", "bin")}[kind]

    def save(part: dict[str, torch.Tensor], file: Path) -> None:
        if kind == "torch":
            torch.save(part, str(file))
        else:
            # Tensors that share memory have to be given memory of their own.
            save_file({name: tensor.clone() for name, tensor in part.items()}, str(file), metadata={"format": "pt"})

    if kind == layout:
        save(tensors, folder / f"{stem}.{ending}")
        return
    names = list(tensors)
    middle = len(names) // 2
    weight_map = {}
    for number, part in enumerate((names[:middle], names[middle:]), 1):
        file = f"{stem}-{number:05d}-of-00002.{ending}"
        save({name: tensors[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json(folder / f"{stem}.{ending}.index.json", index)


# ---------------------------------------------------------------------------------------------------- config.json

def published_form(config) -> dict:
    """As transformers 4 wrote it: `torch_dtype`, `rope_theta` at the top."""
    json_form = json.loads(config.to_json_string(use_diff=False))
    json_form["torch_dtype"] = json_form.pop("dtype", None) or "float32"
    rope = json_form.pop("rope_parameters", None)
    if rope is not None:
        json_form["rope_theta"] = rope["rope_theta"]
        json_form.pop("layer_types", None)
    return json_form


def without_defaults(config) -> dict:
    """Only what differs from the defaults of the class: every reader has to know those."""

    def sparse(own: dict, default: dict) -> dict:
        kept = {}
        for key, value in own.items():
            if isinstance(value, dict) and isinstance(default.get(key), dict):
                kept[key] = sparse(value, default[key])
            elif key == "model_type" or key not in default or value != default[key]:
                kept[key] = value
        return kept

    return sparse(published_form(config), published_form(type(config)()))


def write_config(folder: Path, config, architecture: str, *, form: str = "published", others: bool = True) -> None:
    """`config.json` in the form asked for; beside it, unless told otherwise, the forms of transformers 5 and of a minimalist."""
    config.architectures = [architecture]
    forms = {
        "published": published_form(config),
        "transformers5": json.loads(config.to_json_string()),
        "sparse": without_defaults(config),
    }
    write_json(folder / "config.json", forms[form])
    if others:
        for other in forms.keys() - {form}:
            write_json(folder / f"config.{other}.json", forms[other])


def write_model(folder: Path, tensors: dict[str, torch.Tensor], config, architecture: str, variant: dict) -> None:
    """Weights and `config.json` as the variant has them."""
    write_weights(folder, tensors, variant.get("layout", "safetensors"))
    write_config(folder, config, architecture, form=variant.get("form", "published"), others=variant.get("forms", True))


# ---------------------------------------------------------------------------------------------------- random weights

def randomise(model: torch.nn.Module, seed: int, rule) -> None:
    """Draws every parameter: `rule(name, parameter)` gives mean and standard deviation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            mean, std = rule(name, parameter)
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
            parameter.copy_((mean + std * noise).to(parameter.dtype))


def usual_rule(name: str, parameter: torch.nn.Parameter) -> tuple[float, float]:
    """Nothing zero, nothing one: what is left out, swapped or taken for something else shows."""
    if "layer_scale" in name or "lambda1" in name:
        return 0.4, 0.2
    if name.endswith("bias") or "mask" in name:
        return 0.0, 0.1
    if "norm" in name.removesuffix(".weight").split(".")[-1]:
        return 1.0, 0.2
    if parameter.ndim < 2 or "embedding" in name or "token" in name:
        return 0.0, 0.04
    fan_in = parameter[0].numel()
    is_query_or_key = any(part in name for part in ("q_proj", "k_proj", "query", "key"))
    return 0.0, (1.7 if is_query_or_key else 1.0) / math.sqrt(fan_in)


def draw_weights(model: torch.nn.Module, seed: int, rule, variant: dict) -> None:
    """`randomise`, then rounds all weights as a file of the variant's type does; the model goes on in single precision."""
    randomise(model, seed, rule)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(stored_dtype(variant)).to(parameter.dtype))


def in_double(model: torch.nn.Module) -> torch.nn.Module:
    import copy

    return copy.deepcopy(model).double()
