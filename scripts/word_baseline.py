#!/usr/bin/env python3
"""What the words alone say about the tasks of the language suite: the scores in docs/language-suite.md.

Usage: word_baseline.py SUITE, a folder that `metatt suite` wrote. Needs numpy.

A ridge-penalised logistic regression (linear for STS-B) on the words of each sentence, the words both have, and
the share of words that both have; the penalty with the best score on the dev set is reported, which favours
the baseline.
"""

import pathlib
import sys

import numpy

TASKS = {  # column of the first sentence, of the second, of the label; lines of header
    "CoLA": (3, None, 1, 0),
    "MRPC": (3, 4, 0, 1),
    "RTE": (1, 2, 3, 1),
    "STS-B": (7, 8, 9, 1),
}
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)


def read(path, task):
    first, second, label, header = TASKS[task]
    rows = [line.split("\t") for line in path.read_text().splitlines()[header:]]
    labels = [{"entailment": 1.0, "not_entailment": 0.0}.get(row[label]) for row in rows]
    labels = [float(row[label]) if y is None else y for row, y in zip(rows, labels)]
    pairs = [(row[first].split(), row[second].split() if second else []) for row in rows]
    return pairs, numpy.array(labels)


def features(pairs, places):
    words = len(places)
    matrix = numpy.zeros((len(pairs), 3 * words + 2))
    for row, (one, two) in zip(matrix, pairs):
        for word in one:
            row[places[word]] += 1
        for word in two:
            row[words + places[word]] += 1
        both = set(one) & set(two)
        for word in both:
            row[2 * words + places[word]] = 1
        row[-2] = len(both) / max(1, len(set(one) | set(two)))
        row[-1] = 1
    return matrix


def fit(x, y, penalty, logistic):
    """Newton's method; one step of it solves the linear regression."""
    weights = numpy.zeros(x.shape[1])
    for _ in range(8 if logistic else 1):
        value = x @ weights
        mean = 1 / (1 + numpy.exp(-value)) if logistic else value
        slope = mean * (1 - mean) if logistic else numpy.ones_like(value)
        hessian = (x.T * slope) @ x + penalty * numpy.eye(len(weights))
        weights -= numpy.linalg.solve(hessian, x.T @ (mean - y) + penalty * weights)
    return weights


def main(suite):
    vocabulary = (suite / "vocab.txt").read_text().split()
    places = {word: place for place, word in enumerate(vocabulary)}
    for task in TASKS:
        train, y = read(suite / task / "train.tsv", task)
        dev, truth = read(suite / task / "dev.tsv", task)
        x, x_dev = features(train, places), features(dev, places)
        logistic = task != "STS-B"
        best = -1.0
        for penalty in PENALTIES:
            value = x_dev @ fit(x, y, penalty, logistic)
            if task in ("MRPC", "RTE"):
                score = numpy.mean((value > 0) == truth)
            else:  # of two labels, Pearson's correlation is Matthews'
                score = numpy.corrcoef(value > 0 if logistic else value, truth)[0, 1]
            best = max(best, numpy.nan_to_num(score))
        name = "accuracy" if task in ("MRPC", "RTE") else "Matthews" if logistic else "Pearson"
        print(f"{task}: {name} {best:.2f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
