"""Blip2QFormerModel and torch.optim.AdamW."""

from pathlib import Path

import torch
from fixture_folder import FixtureFolder, draw_weights, in_double, saved_tensors, usual_rule, write_model


def make_qformer(folder: Path, kind: str, variant: dict, seed: int) -> None:
    from transformers import Blip2QFormerConfig, Blip2QFormerModel

    settings = {
        "vocab_size": 32, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96,
        "encoder_hidden_size": 40, "cross_attention_frequency": 1, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": 32, **variant.get("config", {}),
    }
    config = Blip2QFormerConfig(**settings)
    config._attn_implementation = "eager"
    model = Blip2QFormerModel(config).eval()
    draw_weights(model, seed, usual_rule, variant)
    fixture = FixtureFolder(folder, kind, f"Q-Former {variant}", "transformers.Blip2QFormerModel", seed, [
        "queries [1,K,d] are expanded to the batch. Gradients are of sum(last_hidden_state * cotangent).",
        "Upstream checkpoints call layernorm bert.embeddings.LayerNorm and attention.attention attention.self.",
    ])
    tensors = saved_tensors(model, variant)
    if variant.get("names") == "upstream":
        def renamed(name: str) -> str:
            name = name.replace("attention.attention.", "attention.self.")
            return "bert." + (name.replace("layernorm.", "embeddings.LayerNorm.") if name.startswith("layernorm.") else name)
        tensors = {renamed(name): tensor for name, tensor in tensors.items()}
    write_model(folder, tensors, config, "Blip2QFormerModel", variant)

    generator = torch.Generator().manual_seed(seed + 1)
    batch, queries, length = variant.get("sizes", (2, 6, 11))
    inputs = {
        "queries": 0.02 * torch.randn(1, queries, config.hidden_size, generator=generator),
        "encoder_hidden_states": torch.randn(batch, length, config.encoder_hidden_size, generator=generator),
        "cotangent": torch.randn(batch, queries, config.hidden_size, generator=generator),
    }
    for name, tensor in inputs.items():
        fixture.add_input(name, tensor)

    def compute(given) -> dict[str, torch.Tensor]:
        kind_of_number = next(given.parameters()).dtype
        given.zero_grad()
        first, memory = (inputs[name].to(kind_of_number, copy=True).requires_grad_(True) for name in ("queries", "encoder_hidden_states"))
        seen = given(query_embeds=first.expand(batch, -1, -1), encoder_hidden_states=memory).last_hidden_state
        (seen * inputs["cotangent"].to(kind_of_number)).sum().backward()
        gradients = {f"grad.{name}": p.grad.clone() for name, p in given.named_parameters() if p.grad is not None}
        return {"last_hidden_state": seen.detach(), "grad.queries": first.grad, "grad.encoder_hidden_states": memory.grad, **gradients}

    fixture.add_all_expected(compute(model), compute(in_double(model)))
    fixture.write()


def make_adamw(folder: Path, kind: str, variant: dict, seed: int) -> None:
    steps = variant.get("steps", 10)
    groups = variant.get("groups", [
        {"shape": [5, 7], "weight_decay": 0.05, "betas": [0.9, 0.999], "eps": 1e-8},
        {"shape": [11], "weight_decay": 0.0, "betas": [0.9, 0.999], "eps": 1e-8},
        {"shape": [3, 4, 2], "weight_decay": 0.1, "betas": [0.9, 0.95], "eps": 1e-6},
    ])
    generator = torch.Generator().manual_seed(seed)
    start = [torch.randn(group["shape"], generator=generator) for group in groups]
    sizes = variant.get("gradient_sizes", [1.0] * len(groups))
    gradients = [size * torch.randn([steps, *group["shape"]], generator=generator) for group, size in zip(groups, sizes)]
    rates = 10 ** (-4 + 2.5 * torch.rand(steps, len(groups), generator=generator, dtype=torch.float64))
    rates[-1] = 0
    for gradient in gradients:
        if steps > 6:
            gradient[3] = 0
            gradient[6].reshape(-1)[0] = 1e-9
    fixture = FixtureFolder(folder, kind, f"AdamW {variant}", "torch.optim.AdamW(foreach=False)", seed, [
        "lr[t,i] is the learning rate of tensor i at step t (0-based). params.i, exp_avg.i, exp_avg_sq.i hold the state after "
        "each step; init.i is the start, grads.i[t] the gradient given at step t.",
    ])
    fixture.golden["made_with"]["groups"] = [
        {"tensor": index, **{key: value for key, value in group.items() if key != "shape"}} for index, group in enumerate(groups)
    ]

    def run(dtype: torch.dtype) -> dict[str, torch.Tensor]:
        parameters = [torch.nn.Parameter(value.to(dtype, copy=True)) for value in start]
        optimizer = torch.optim.AdamW(
            [{"params": [p], "weight_decay": g["weight_decay"], "betas": tuple(g["betas"]), "eps": g["eps"]} for p, g in zip(parameters, groups)],
            lr=1e-3, foreach=False,
        )
        history: dict[str, list[torch.Tensor]] = {}
        for step in range(steps):
            for index, parameter in enumerate(parameters):
                parameter.grad = gradients[index][step].to(dtype)
                optimizer.param_groups[index]["lr"] = rates[step, index].item()
            optimizer.step()
            for index, parameter in enumerate(parameters):
                state = optimizer.state[parameter]
                for name, value in (("params", parameter.detach()), ("exp_avg", state["exp_avg"]), ("exp_avg_sq", state["exp_avg_sq"])):
                    history.setdefault(f"{name}.{index}", []).append(value.clone())
        return {name: torch.stack(values) for name, values in history.items()}

    for index, (value, gradient) in enumerate(zip(start, gradients)):
        fixture.add_input(f"init.{index}", value)
        fixture.add_input(f"grads.{index}", gradient)
    fixture.add_input("lr", rates)
    fixture.add_all_expected(run(torch.float32), run(torch.float64))
    fixture.write()
