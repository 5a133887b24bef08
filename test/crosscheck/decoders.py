"""Qwen2ForCausalLM and LlamaForCausalLM, bare and under peft."""

import math
from pathlib import Path

import torch
from fixture_folder import FixtureFolder, draw_weights, in_double, saved_tensors, usual_rule, write_model

IGNORED = -100


def build(family: str, settings: dict):
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    config_class, model_class = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}[family]
    usual = {
        "vocab_size": 160,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        "bos_token_id": None,
        "eos_token_id": None,
    }
    config = config_class(**{**usual, **settings})
    config._attn_implementation = "eager"
    return config, model_class(config).eval()


def rule(tied: bool):
    def decoder_rule(name: str, parameter) -> tuple[float, float]:
        if name.endswith("model.norm.weight"):
            # So that scores are far apart, of embeddings as small as real ones.
            return (8.0, 1.8) if tied else (1.0, 0.2)
        if name.endswith("lm_head.weight"):
            return 0.0, 3.0 / math.sqrt(parameter.shape[1])
        return usual_rule(name, parameter)

    return decoder_rule


def draw_inputs(generator: torch.Generator, vocabulary: int, hidden: int, rows: int, tokens: int, padded: bool) -> dict:
    lengths = [tokens if i == 0 or not padded else max(3, tokens - 2 - 3 * i) for i in range(rows)]
    ids = torch.zeros(rows, tokens, dtype=torch.int64)
    mask = torch.zeros(rows, tokens, dtype=torch.int64)
    labels = torch.full((rows, tokens), IGNORED)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(1, vocabulary, (length,), generator=generator)
        mask[row, :length] = 1
        begin = max(1, length // 2 - row)
        labels[row, begin:length] = ids[row, begin:length]
    embeds = 0.05 * torch.randn(rows, tokens, hidden, generator=generator)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels, "inputs_embeds": embeds}


def forward_ids(model, data: dict):
    # Positions from 0 in every row.
    positions = torch.arange(data["input_ids"].shape[1])[None].expand(data["input_ids"].shape)
    return model(
        input_ids=data["input_ids"],
        attention_mask=data["attention_mask"],
        labels=data["labels"],
        position_ids=positions,
        use_cache=False,
    )


def loss_and_gradients(model, data: dict, names: list[str]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    result = forward_ids(model, data)
    result.loss.backward()
    parameters = dict(model.named_parameters())
    gradients = {f"grad.{name.replace('.default', '')}": parameters[name].grad.clone() for name in names}
    return {"logits": result.logits.detach(), "loss": result.loss.detach().reshape(1), **gradients}


def from_embeddings(model, data: dict) -> dict[str, torch.Tensor]:
    model.zero_grad()
    dtype = next(model.parameters()).dtype
    embeds = data["inputs_embeds"].to(dtype, copy=True).requires_grad_(True)
    result = model(inputs_embeds=embeds, attention_mask=data["attention_mask"], labels=data["labels"], use_cache=False)
    result.loss.backward()
    return {
        "embeds.logits": result.logits.detach(),
        "embeds.loss": result.loss.detach().reshape(1),
        "embeds.grad": embeds.grad.clone(),
    }


@torch.no_grad()
def step_logits(model, prompt: torch.Tensor, count: int, given=None) -> tuple[torch.Tensor, torch.Tensor]:
    """Greedy, or along `given` tokens; with a cache."""
    ids, past, tokens, scores = prompt, None, [], []
    for step in range(count):
        result = model(input_ids=ids, past_key_values=past, use_cache=True)
        past = result.past_key_values
        scores.append(result.logits[0, -1])
        token = scores[-1].argmax() if given is None else given[step]
        tokens.append(token)
        ids = token.reshape(1, 1)
    return torch.stack(tokens), torch.stack(scores)


def decided_prompt(model, generator: torch.Generator, vocabulary: int, length: int, count: int):
    """A prompt whose every greedy step is decided by more than rounding."""
    for _ in range(50):
        prompt = torch.randint(1, vocabulary, (1, length), generator=generator)
        tokens, scores = step_logits(model, prompt, count)
        best = scores.topk(2).values
        if (best[:, 0] - best[:, 1]).min() > 1e-2:
            return prompt, tokens, scores
    raise SystemExit("no prompt has a clear answer")


def write_decoder(folder: Path, config, model, variant: dict, architecture: str) -> None:
    tensors = saved_tensors(model, variant)
    # A torch file holds the tied one, too: a second view of the same numbers.
    if config.tie_word_embeddings and variant.get("layout", "safetensors").endswith("torch"):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    write_model(folder, tensors, config, architecture, variant)


def make_decoder(folder: Path, kind: str, variant: dict, seed: int) -> None:
    family = variant.get("family", kind)
    config, model = build(family, variant.get("config", {}))
    draw_weights(model, seed, rule(config.tie_word_embeddings), variant)
    double = in_double(model)
    generator = torch.Generator().manual_seed(seed + 1)
    rows, tokens = variant.get("rows", 2), variant.get("tokens", 13)
    data = draw_inputs(generator, config.vocab_size, config.hidden_size, rows, tokens, variant.get("padded", True))

    architecture = type(model).__name__
    fixture = FixtureFolder(
        folder, kind, f"Decoder {variant}", f"transformers.{architecture}", seed,
        [
            "Rows are right-padded. Positions count from 0 in every row. Compare logits where attention_mask is 1.",
            "loss: logits at t predict labels at t+1, -100 ignored, mean over all remaining targets of the batch.",
            "Gradients are of that loss. embeds.*: the same from inputs_embeds; embeds.grad its gradient.",
            "generate.tokens: greedy after prompt_ids; generate.step_logits row i gave token i, from the cached run.",
        ],
    )
    write_decoder(folder, config, model, variant, architecture)
    for name, tensor in data.items():
        fixture.add_input(name, tensor)
    last = f"layers.{config.num_hidden_layers - 1}."
    names = [
        name for name, parameter in model.named_parameters()
        if "layers." not in name or "layers.0." in name or last in name
    ]
    prompt, generated, scores = decided_prompt(model, generator, config.vocab_size, variant.get("prompt", 7), variant.get("new", 12))
    fixture.add_input("prompt_ids", prompt)
    fixture.add_all_expected(loss_and_gradients(model, data, names), loss_and_gradients(double, data, names))
    fixture.add_all_expected(from_embeddings(model, data), from_embeddings(double, data))
    fixture.add_expected("generate.tokens", generated)
    fixture.add_expected("generate.step_logits", scores, step_logits(double, prompt, len(generated), generated)[1])
    fixture.write()


# ---------------------------------------------------------------------------------------------------- peft

def moved_by_rounding(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """A copy whose every weight is off by at most one rounding."""
    import copy

    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            sign = torch.randint(0, 3, parameter.shape, generator=generator) - 1
            parameter.mul_(1 + 6e-8 * sign.to(parameter.dtype))
    return other


def trained(model, data: dict, training: dict) -> dict[str, torch.Tensor]:
    """Loss before each AdamW step and after the last, then what the adapters became."""
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        weights.values(), lr=training["lr"], betas=tuple(training["betas"]), eps=training["eps"],
        weight_decay=training["weight_decay"], foreach=False,
    )
    losses = []
    for _ in range(training["steps"]):
        optimizer.zero_grad()
        loss = forward_ids(model, data).loss
        loss.backward()
        losses.append(loss.detach())
        optimizer.step()
    with torch.no_grad():
        result = forward_ids(model, data)
    losses.append(result.loss)
    final = {f"final.{name.replace('.default', '')}": p.detach().clone() for name, p in weights.items()}
    return {"final.logits": result.logits, "train.losses": torch.stack(losses), **final}


def make_lora(folder: Path, kind: str, variant: dict, seed: int) -> None:
    import copy

    from peft import LoraConfig, get_peft_model

    config, base = build(variant.get("family", "qwen2"), variant.get("config", {"tie_word_embeddings": True}))
    draw_weights(base, seed, rule(config.tie_word_embeddings), variant)
    architecture = type(base).__name__
    training = {"steps": 5, "lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.05, **variant.get("training", {})}
    folder.mkdir(parents=True, exist_ok=True)
    write_decoder(folder, config, base, variant, architecture)
    rank, alpha = variant.get("rank", 4), variant.get("alpha", 8)
    targets = variant.get("targets", ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
    lora = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=targets, bias="none", task_type="CAUSAL_LM",
                      use_rslora=variant.get("rank_stabilised", False))
    model = get_peft_model(base, lora).eval()
    generator = torch.Generator().manual_seed(seed + 2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.125 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)

    data_generator = torch.Generator().manual_seed(seed + 1)
    rows, tokens = variant.get("rows", 2), variant.get("tokens", 13)
    data = draw_inputs(data_generator, config.vocab_size, config.hidden_size, rows, tokens, variant.get("padded", True))
    fixture = FixtureFolder(
        folder, kind, f"Adapter {variant}", f"peft.PeftModel over transformers.{architecture}", seed,
        [
            "Base weights are frozen, only lora_A and lora_B train.",
            "base.logits without the adapter; logits, loss, grad.* with it; merged.* after W + alpha/r * B A.",
            f"train.losses: loss before each of {training['steps']} AdamW steps on the same batch, then the loss after the last. "
            f"One parameter group: every lora matrix with weight decay {training['weight_decay']:g}. "
            f"lr {training['lr']:g} constant, betas {training['betas'][0]:g} {training['betas'][1]:g}, eps {training['eps']:g}, no clipping.",
            "final.*: adapter weights after the last step and the logits they give. Where a gradient is near zero AdamW turns "
            "rounding into steps of up to lr, so the noise of these is also measured by moving all weights by one rounding.",
        ],
    )
    for name, tensor in data.items():
        fixture.add_input(name, tensor)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    double = in_double(model)
    fixture.add_all_expected(loss_and_gradients(model, data, names), loss_and_gradients(double, data, names))

    @torch.no_grad()
    def bare(given) -> torch.Tensor:
        with given.disable_adapter():
            return forward_ids(given, data).logits

    @torch.no_grad()
    def merged(given) -> dict[str, torch.Tensor]:
        plain = copy.deepcopy(given).merge_and_unload()
        weights = {f"merged.{name}": p for name, p in plain.named_parameters() if any(f"{t}.weight" in name for t in targets)}
        return {"merged.logits": forward_ids(plain, data).logits, **weights}

    fixture.add_expected("base.logits", bare(model), bare(double))
    fixture.add_all_expected(merged(model), merged(double))
    others = [in_double(model), moved_by_rounding(model, seed + 3), moved_by_rounding(model, seed + 4)]
    fixture.add_all_expected(trained(copy.deepcopy(model), data, training), *(trained(other, data, training) for other in others))
    fixture.write()
