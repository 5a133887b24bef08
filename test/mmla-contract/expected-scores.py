"""Scores of test/fixtures/mmla/predictions, computed with scikit-learn and Python's own regular expressions.

    pip install scikit-learn
    python test/mmla-contract/expected-scores.py > test/mmla-contract/expected-scores.json

Independent of the program: what is found in an answer is what `(?<!\\w)LABEL(?!\\w)` finds in its lower-cased text, exactly
one label or none ("unknown") or several ("multi"). compat averages over the values that occur in gold and predictions,
strict over the labels of the task. In percent.
"""

import json
import re
from pathlib import Path

from sklearn.metrics import accuracy_score, precision_recall_fscore_support

FIXTURES = Path(__file__).parent.parent / "fixtures" / "mmla"


def parse(labels, text):
    found = {label for label in labels if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text.lower())}
    return found.pop() if len(found) == 1 else "multi" if found else "unknown"


def scores(gold, predicted, labels):
    def averaged(average):
        return precision_recall_fscore_support(
            gold, predicted, labels=labels, average=average, zero_division=0
        )[:3]

    precision, recall, f1 = averaged("macro")
    weighted_precision, _, weighted_f1 = averaged("weighted")
    values = {
        "ACC": accuracy_score(gold, predicted),
        "F1": f1,
        "P": precision,
        "R": recall,
        "WF1": weighted_f1,
        "WP": weighted_precision,
    }
    return {name: round(100 * float(value), 8) for name, value in values.items()}


def main():
    expected = {}
    for task in json.loads((FIXTURES / "tasks.json").read_text("utf-8")):
        lines = (FIXTURES / "predictions" / f"{task['key']}.jsonl").read_text("utf-8").splitlines()
        predicted = [parse(task["labels"], json.loads(line)["text"]) for line in lines]
        gold = [row["label"] for row in task["rows"]["test"]]
        assert len(gold) == len(predicted)
        expected[task["key"]] = {
            "n": len(gold),
            "invalid": {kind: predicted.count(kind) for kind in ("unknown", "multi")},
            "compat": scores(gold, predicted, None),
            "strict": scores(gold, predicted, task["labels"]),
        }
    print(json.dumps(expected, indent=2))


main()
