"""What `npm run bench -- compare` measures beside this program: PyTorch with transformers and peft, one case a process.

    python torch_step.py '{"case": "train-step", "mode": "eager", "dtype": "float32", "threads": 2, "config": {...}, ...}'

Lines out: `ready {...}` once the case has run once, or `failed {"reason": ...}`. Lines in: `run N`, answered by a line
`{"runs": [{"ms": ...}, ...]}`, and `end`, answered by peak memory and by what one large matrix product reaches.
"""

import contextlib
import json
import os
import re
import resource
import sys
import time

# What libraries print is not of the protocol.
protocol = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import torch  # noqa: E402
import peft  # noqa: E402
import transformers  # noqa: E402

ROOF_SIZE = 2048


def milliseconds():
    return time.perf_counter() * 1000


def autocast(spec):
    return torch.autocast("cpu", torch.bfloat16) if spec["dtype"] == "bfloat16" else contextlib.nullcontext()


def decoder(spec):
    """A decoder of the given shape with random float32 weights and an adapter on its seven projections."""
    config = transformers.AutoConfig.for_model(**spec["config"])
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    adapter = peft.LoraConfig(
        r=spec["rank"],
        lora_alpha=spec["alpha"],
        lora_dropout=0.0,
        target_modules=spec["targets"],
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, adapter)


def train_step(spec):
    """Forward, backward and AdamW of the adapters; the loss as transformers computes it."""
    model = decoder(spec)
    model.config.use_cache = False
    model.train()
    batch, tokens, supervised = spec["batch"], spec["tokens"], spec["supervised"]
    ids = torch.randint(0, spec["config"]["vocab_size"], (batch, tokens))
    labels = ids.clone()
    labels[:, : tokens - supervised] = -100
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.05, fused=True)
    forward = torch.compile(model) if spec["mode"] == "compiled" else model

    def run():
        started = milliseconds()
        with autocast(spec):
            loss = forward(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        value = loss.item()
        return {"ms": milliseconds() - started, "loss": value}

    return run


def encode(spec):
    """One vector a frame or clip, as AffectGPT takes it from CLIP and HuBERT."""
    pieces = spec["pieces"]
    if spec["size"].startswith("clip"):
        vision = transformers.CLIPVisionConfig(
            **spec["config"]["vision_config"], projection_dim=spec["config"]["projection_dim"]
        )
        model = transformers.CLIPVisionModelWithProjection._from_config(vision, attn_implementation="sdpa").eval()
        values = torch.randn(pieces, 3, vision.image_size, vision.image_size)

        def features(forward):
            return forward(values).image_embeds

    else:
        config = transformers.HubertConfig(**spec["config"])
        model = transformers.HubertModel._from_config(config, attn_implementation="sdpa").eval()
        values = torch.randn(pieces, spec["samples"])

        def features(forward):
            states = forward(values, output_hidden_states=True).hidden_states
            return torch.stack(states[-4:]).mean(0).mean(1)

    forward = torch.compile(model) if spec["mode"] == "compiled" else model

    def run():
        started = milliseconds()
        with torch.inference_mode(), autocast(spec):
            features(forward)
        return {"ms": milliseconds() - started}

    return run


def generate(spec):
    """Greedy answers with a key/value cache: one of one token, one of many; the difference is the time of the others."""
    model = decoder(spec).eval()
    whole = model.base_model.model
    ids = (torch.arange(spec["promptTokens"]) * 7919 % spec["config"]["vocab_size"]).unsqueeze(0)
    options = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None, "attention_mask": torch.ones_like(ids)}
    if spec["mode"] == "compiled":
        # One compilation for the prompt and one for a token; a cache of fixed size is what compiles.
        torch._dynamo.config.automatic_dynamic_shapes = False
        whole.forward = torch.compile(whole.forward)
        options["cache_implementation"] = "static"

    def answer(count):
        started = milliseconds()
        with torch.inference_mode(), autocast(spec):
            written = whole.generate(ids, max_new_tokens=count, min_new_tokens=count, **options)
        assert written.shape[1] == spec["promptTokens"] + count, "the answer has another length than was asked for"
        return milliseconds() - started

    def run():
        prompt = answer(1)
        others = spec["newTokens"] - 1
        return {"prompt_ms": prompt, "ms": (answer(spec["newTokens"]) - prompt) / others}

    return run


def peak_megabytes():
    """Largest resident memory of this process."""
    try:
        with open("/proc/self/status") as status:
            return round(int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) / 1024)
    except OSError:
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def roof(dtype):
    """GFLOP/s of one large product of square matrices: the best of several."""
    left, right = (torch.randn(ROOF_SIZE, ROOF_SIZE).to(dtype) for _ in range(2))
    times = []
    for _ in range(8):
        started = milliseconds()
        torch.mm(left, right)
        times.append(milliseconds() - started)
    return 2 * ROOF_SIZE**3 / min(times) / 1e6


def main():
    spec = json.loads(sys.argv[1])
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(1)
    say = lambda value: protocol.write(json.dumps(value) + "\n")  # noqa: E731
    try:
        run = {"train-step": train_step, "encode": encode, "generate": generate}[spec["case"]](spec)
        started = milliseconds()
        run()
        first = milliseconds() - started
    except Exception as error:  # Whatever it is, the row says so.
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = f"{type(error).__name__}: {lines[0] if lines else ''}"
        protocol.write(f"failed {json.dumps({'reason': reason})}\n")
        raise
    versions = {module.__name__: module.__version__ for module in (torch, transformers, peft)}
    protocol.write(f"ready {json.dumps({'first_ms': first, 'versions': versions})}\n")
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["run"]:
            say({"runs": [run() for _ in range(int(words[1]))]})
        elif words == ["end"]:
            peak = peak_megabytes()
            say({"peak_rss_mb": peak, "roof_gflops_per_s": roof(getattr(torch, spec["dtype"]))})
            return


main()
