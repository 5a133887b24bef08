"""Runs a folder of `affectgpt export onnx` with onnxruntime and tokenizers alone, as its README.md tells.

For each sample of the request: greedy answer, its tokens, and a file of float32 scores, those after each token of the prompt,
then those after each generated token but the last.
"""

import argparse
import json
from pathlib import Path

import numpy
import onnxruntime
from tokenizers import Tokenizer


class Exported:
    def __init__(self, folder: Path) -> None:
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / graph["file"], options, providers=["CPUExecutionProvider"])
            for name, graph in self.manifest["graphs"].items()
        }

    def prompt_ids(self, subtitle: str, question: str) -> list[int]:
        fields = {"subtitle": subtitle, "question": question}
        text = ""
        for segment in self.manifest["prompt"]["segments"]:
            if "text" in segment:
                text += segment["text"]
            elif "field" in segment:
                text += fields[segment["field"]]
            else:
                text += segment["placeholder"] * segment["tokens"]
        start = self.manifest["prompt"]["startToken"]
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids if start is None else [start, *ids]

    def vectors(self, media: dict[str, numpy.ndarray]) -> numpy.ndarray:
        features = {}
        for kind in self.manifest["inputs"]["features"]:
            graph, name = ("audio", "samples") if kind == "audio" else ("vision", "frames")
            features[kind] = self.sessions[graph].run(["features"], {name: media[kind]})[0][None]
        return self.sessions["fusion"].run(["vectors"], features)[0]

    def answer(self, ids: list[int], vectors: numpy.ndarray) -> tuple[list[int], list[numpy.ndarray]]:
        shape = self.manifest["decoder"]
        generation = self.manifest["generation"]
        empty = numpy.zeros((1, shape["keyValueHeads"], 0, shape["headDim"]), numpy.float32)
        caches = {f"{layer}.{part}": empty for layer in range(shape["layers"]) for part in ("key", "value")}
        session = self.sessions["decoder"]
        names = [output.name for output in session.get_outputs()]
        read, past, generated, scores = ids, 0, [], []
        while len(generated) < generation["maxNewTokens"]:
            results = session.run(
                names,
                {
                    "input_ids": numpy.array([read], numpy.int64),
                    "attention_mask": numpy.ones((1, past + len(read)), numpy.int64),
                    "position_ids": numpy.arange(past, past + len(read), dtype=numpy.int64)[None],
                    "num_logits_to_keep": numpy.array(0, numpy.int64),
                    "vectors": vectors if past == 0 else vectors[:0],
                    **{f"past_key_values.{name}": cache for name, cache in caches.items()},
                },
            )
            named = dict(zip(names, results))
            logits = named.pop("logits")[0]
            caches = {name.removeprefix("present."): cache for name, cache in named.items()}
            scores.append(logits)
            past += len(read)
            generated.append(int(logits[-1].argmax()))
            read = generated[-1:]
            if any(generated[-len(stop) :] == stop for stop in generation["stopSequences"]):
                break
        return generated, scores

    def text(self, tokens: list[int]) -> str:
        rule = self.manifest["generation"]["answer"]
        text = self.tokenizer.decode(tokens, skip_special_tokens=False)
        if rule["startText"] is not None and rule["startText"] in text:
            text = text.split(rule["startText"])[1]
        for end in rule["endTexts"]:
            text = text.split(end)[0]
        stop = rule["stopText"]
        if stop is not None and stop in text:
            text = text[: text.index(stop) if rule["stopAt"] == "first" else text.rindex(stop)]
        if rule["afterText"] is not None:
            text = text.split(rule["afterText"])[-1]
        return text.strip()


def load_media(media: dict) -> dict[str, numpy.ndarray]:
    return {
        kind: numpy.fromfile(entry["file"], entry["dtype"]).reshape(entry["shape"]) for kind, entry in media.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--request", type=Path, required=True)
    arguments = parser.parse_args()
    exported = Exported(arguments.folder)
    answers = []
    for sample in json.loads(arguments.request.read_text()):
        ids = exported.prompt_ids(sample["subtitle"], sample["question"])
        tokens, scores = exported.answer(ids, exported.vectors(load_media(sample["media"])))
        numpy.concatenate(scores).astype("<f4").tofile(sample["out"])
        answers.append({"promptIds": ids, "tokens": tokens, "text": exported.text(tokens)})
    print(json.dumps(answers))


main()
