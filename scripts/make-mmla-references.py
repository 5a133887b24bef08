"""Writes what Python and scikit-learn make of made-up answers, for the tests of src/eval/mmla:

    python scripts/make-mmla-references.py test/fixtures/mmla-python

- python-unicode.json: which characters `\\w` of `re` matches, which the Unicode of this Python does not know, and which
  become ASCII letters by `str.lower`.
- python-answers.json: answers of made-up text and what the published rule takes them for.
- scikit-learn.json: metrics of made-up predictions, and fractions as rounded percent.

Needs scikit-learn. Only needed again when a task gets other labels; the result is committed.
"""

import json
import os
import random
import re
import sys
import unicodedata
import warnings

import sklearn
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

warnings.filterwarnings('ignore')
FOLDER = sys.argv[1]
FIXTURES = os.path.join(os.path.dirname(__file__), '..', 'test', 'fixtures', 'mmla')
with open(os.path.join(FIXTURES, 'tasks.json'), encoding='utf-8') as tasks:
    LABELS = {task['key']: task['labels'] for task in json.load(tasks)}


def write(name, value, lines):
    """JSON with a line for each key, and for each entry of the list under `lines`."""
    text = lambda one: json.dumps(one, ensure_ascii=True)
    head = [f'"{key}": {text(one)}' for key, one in value.items() if key != lines]
    rows = ',\n'.join(text(row) for row in value[lines])
    with open(os.path.join(FOLDER, name), 'w', encoding='utf-8') as file:
        file.write('{' + ',\n'.join([*head, f'"{lines}": [\n{rows}\n]']) + '}\n')


def ranges(holds):
    """First and last of each run of code points, as a flat list."""
    found, start = [], None
    for code in range(0x110001):
        if code < 0x110000 and holds(chr(code)):
            start = code if start is None else start
        elif start is not None:
            found.append([start, code - 1])
            start = None
    return found


word = re.compile(r'\w')
write('python-unicode.json', {
    'python': sys.version.split()[0],
    'unicode': unicodedata.unidata_version,
    'lowersToAscii': {f'{code:x}': chr(code).lower() for code in range(0x80, 0x110000)
                      if any(sign.isascii() for sign in chr(code).lower())},
    'unassigned': [bound for both in ranges(lambda sign: unicodedata.category(sign) == 'Cn') for bound in both],
    'words': ranges(lambda sign: word.match(sign) is not None),
}, 'words')


def parse(labels, text):
    lower = text.lower()
    found = {label for label in labels if re.search(rf'(?<!\w){re.escape(label)}(?!\w)', lower)}
    return found.pop() if len(found) == 1 else ('multi' if found else 'unknown')


draw = random.Random(9)
# Letters, numbers, marks, signs and the like, some of them beyond 16 bits, one half of such a pair, and ends of text.
NEIGHBOURS = ['', '', ' ', '.', '-', '_', '[', ']', "'", ':', '\n', '\u00a0', 'a', 'Z', '7', 'é', 'ß', '情', '感', 'あ', 'ي', '٣', '²', '½', 'Ⅷ',
              '〇', '\u0301', '\u0307', '\u0650', '\u200d', '\u200b', '😀', '𝒳', '𝟘', '𐐀', '𠀀', '\ud835', '\udcb3', 'İ', 'K', 'ſ', '①', 'ª', 'ʰ', 'Ⓐ', '\u20dd']
SPELLINGS = [str, str.upper, str.title, lambda label: label.replace('k', 'K'), lambda label: label.replace('i', 'İ'),
             lambda label: label.replace('s', 'ſ'), lambda label: label[:-1], lambda label: label.replace(' ', '  ')]


def made_up(labels):
    said = draw.choice(['', 'emotion: ', 'The answer is ', '答案：', 'no, '])
    for _ in range(draw.choice([0, 1, 1, 1, 1, 2])):
        said += draw.choice(NEIGHBOURS) + draw.choice(SPELLINGS)(draw.choice(labels)) + draw.choice(NEIGHBOURS)
    return said


answers = [[key, text, parse(labels, text)] for key, labels in LABELS.items() for text in (made_up(labels) for _ in range(60))]
write('python-answers.json', {'python': sys.version.split()[0], 'answers': answers}, 'answers')


def metrics(gold, predicted, **options):
    average = lambda score, kind: float(score(gold, predicted, average=kind, **options))
    return {
        'ACC': float(accuracy_score(gold, predicted)),
        'F1': average(f1_score, 'macro'), 'P': average(precision_score, 'macro'), 'R': average(recall_score, 'macro'),
        'WF1': average(f1_score, 'weighted'), 'WP': average(precision_score, 'weighted'),
    }


def case(key, n, classes, right, invalid):
    labels = LABELS[key]
    gold = [draw.choice(labels[:classes]) for _ in range(n)]
    other = lambda: draw.choice(['unknown', 'multi']) if draw.random() < invalid else draw.choice(labels)
    predicted = [one if draw.random() < right else other() for one in gold]
    every = labels + ['unknown', 'multi']
    compat, strict = metrics(gold, predicted), metrics(gold, predicted, labels=labels)
    strict['ACC'] = compat['ACC']
    return {
        'task': key, 'gold': [labels.index(one) for one in gold], 'predicted': [every.index(one) for one in predicted],
        'compat': compat, 'strict': strict, 'percent': {name: round(value * 100, 2) for name, value in compat.items()},
    }


cases = [case('MOSI', 8, 2, 0.5, 0.5), case('MOSI', 1, 1, 1, 0), case('MUStARD', 16, 2, 0, 1), case('Ch-sims', 40, 2, 0.4, 0.3)]
cases += [case(key, n, len(labels), 0.5, 0.3) for key, labels in LABELS.items() for n in (12, 80)]
# Ties: halves of a hundredth that a double holds exactly, and what only looks like one.
fractions = [k / 800 for k in range(1, 800, 26)] + [k / 20000 for k in range(1, 20000, 422)] + [draw.random() for _ in range(40)] + [0.0, 1.0]
write('scikit-learn.json', {
    'sklearn': sklearn.__version__,
    'rounded': [bound for one in fractions for bound in (one, round(one * 100, 2))],
    'cases': cases,
}, 'cases')
