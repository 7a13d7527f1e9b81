#!/usr/bin/env python3
"""The PyTorch side of the speed benchmark: one fine-tuning step of a MiniLM-L6-shaped encoder.

Forward, loss, backward and AdamW in float32; one JSON line a variant and dropout rate. Before each
sample one sgemm of 2048³ is timed, so that both figures see the same machine; `rel` is the time that
the floor (the step's large matrix products at the sgemm rate) would take over the median step.
Needs PyTorch and transformers; tests/transformer/fixtures/README.md says how to set them up.
"""

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/transformer/fixtures"))
from torch_adapters import LoRA, MetaTT4D  # noqa: E402

from bench_decoders import adamw

BATCH, LENGTH = 16, 128
LAYERS, WIDTH, HEADS, FEED_FORWARD = 6, 384, 12, 1536
RANK, TARGETS = 8, ["query", "value"]
SGEMM_SIZE = 2048
WARM_UP_STEPS = 2


def floor_gflop(variant):
    """Large matrix products of a step, worked out on paper, in 10⁹ floating-point operations.

    A frozen linear layer is multiplied twice (forward, input gradient), query, key and value of the
    first layer once, since nothing below them is trained; a trained one three times. Attention has two
    products forward and four backward. Adapters, pooler and head (1 % together) are left out.
    """
    tokens = BATCH * LENGTH
    projection = 2 * tokens * WIDTH * WIDTH
    layer = 4 * projection + 2 * 2 * tokens * WIDTH * FEED_FORWARD
    attention = 6 * 2 * tokens * LENGTH * WIDTH
    if variant == "full":
        linear = 3 * LAYERS * layer
    else:
        linear = 2 * LAYERS * layer - 3 * projection
    return (linear + LAYERS * attention) / 1e9


def make_model(variant, dropout):
    """The model in training mode and the parameters that the variant trains."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=FEED_FORWARD, hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout))
    model.train()
    if variant == "full":
        return model, list(model.parameters())
    model.requires_grad_(False)
    model.classifier.requires_grad_(True)
    common = dict(targets=TARGETS, scale=0.1, generator=generator)
    if variant == "lora":
        adapter = LoRA(model.bert, rank=RANK, lora_alpha=RANK, **common)
    else:
        adapter = MetaTT4D(model.bert, ranks=[RANK] * 3, alpha=1.0, **common)
    return model, list(adapter.parameters()) + list(model.classifier.parameters())


def sgemm_seconds(left, right, out):
    start = time.perf_counter()
    torch.mm(left, right, out=out)
    return time.perf_counter() - start


def measure(variant, dropout, samples):
    model, parameters = make_model(variant, dropout)
    optimiser = adamw(parameters)
    ids = torch.randint(1, model.config.vocab_size, (BATCH, LENGTH))
    labels = torch.randint(0, 2, (BATCH,))
    matrices = [torch.randn(SGEMM_SIZE, SGEMM_SIZE) for _ in range(3)]

    def step_seconds():
        start = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
        return time.perf_counter() - start

    for _ in range(WARM_UP_STEPS):
        sgemm_seconds(*matrices)
        step_seconds()
    sgemm, steps = zip(*[(sgemm_seconds(*matrices), step_seconds()) for _ in range(samples)])
    return sgemm, steps


def blas_description():
    """The BLAS that is loaded: its file and, of OpenBLAS, the configuration with the core type."""
    loaded = {line.split()[-1] for line in open("/proc/self/maps", encoding="utf-8")
              if "blas" in os.path.basename(line.rstrip())}
    for path in sorted(loaded):
        try:
            describe = ctypes.CDLL(path).openblas_get_config
        except AttributeError:
            continue
        describe.restype = ctypes.c_char_p
        return describe().decode()
    return ", ".join(sorted(loaded)) or "inside PyTorch"


def report(variant, dropout, samples, threads, blas):
    sgemm, steps = measure(variant, dropout, samples)
    rate = 2 * SGEMM_SIZE**3 / statistics.median(sgemm) / 1e9
    median, floor = statistics.median(steps), floor_gflop(variant)
    return {
        "program": "pytorch",
        "version": torch.__version__,
        "transformers": transformers.__version__,
        "blas": blas,
        "threads": threads,
        "variant": variant,
        "dropout": dropout,
        "milliseconds": [round(1e3 * seconds, 2) for seconds in steps],
        "median_ms": round(1e3 * median, 2),
        "sgemm_gflops": round(rate, 1),
        "floor_gflop": round(floor, 3),
        "rel": round(floor / rate / median, 4),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", nargs="+", choices=["lora", "metatt4d", "full"],
                        default=["lora", "metatt4d", "full"])
    parser.add_argument("--dropout", nargs="+", type=float, default=[0.0, 0.1])
    parser.add_argument("--samples", type=int, default=7, help="timed steps of each variant")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", metavar="FILE", help="write the lines to FILE too")
    options = parser.parse_args()
    if options.samples < 1 or options.threads < 1:
        parser.error("--samples and --threads must be at least 1")

    torch.set_num_threads(options.threads)
    blas = blas_description()
    lines = []
    for variant in options.variant:
        for dropout in options.dropout:
            result = report(variant, dropout, options.samples, options.threads, blas)
            lines.append(json.dumps(result))
            print(lines[-1], flush=True)
    if options.json:
        Path(options.json).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
