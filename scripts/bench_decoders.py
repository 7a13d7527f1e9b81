#!/usr/bin/env python3
"""Times training steps of decoders by metatt and by PyTorch in turns and prints both with their ratio.

The shapes are those of `metatt bench decoders`: a GPT-2 whose weights are all trained, float32, AdamW, no
dropout. PyTorch's peak is that of its process, metatt's that of its tensors. Needs PyTorch;
tests/transformer/fixtures/README.md says how to set it up.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHAPES = {  # layers, width, heads, vocabulary, batch, tokens
    "character": (4, 128, 4, 65, 12, 64),
    "small": (6, 384, 6, 50257, 8, 256),
    "gpt2": (12, 768, 12, 50257, 4, 64),
}


def pytorch_model(layers, width, heads, vocabulary, batch, tokens):
    """A GPT-2 in plain modules, which is faster than transformers' (its GELU is one operation); its attention is one too
    where PyTorch has that (from version 2 on)."""
    import torch
    from torch import nn
    from torch.nn import functional

    one_operation = getattr(functional, "scaled_dot_product_attention", None)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
            self.register_buffer("behind", torch.ones(tokens, tokens).triu(1).bool())

        def forward(self, x):
            q, k, v = (part.view(batch, tokens, heads, -1).transpose(1, 2)
                       for part in self.qkv(self.attention_norm(x)).split(width, 2))
            if one_operation:
                attended = one_operation(q, k, v, is_causal=True)
            else:
                scores = (q @ k.transpose(-2, -1)) * (width / heads) ** -0.5
                attended = functional.softmax(scores.masked_fill(self.behind, float("-inf")), -1) @ v
            x = x + self.output(attended.transpose(1, 2).reshape(batch, tokens, width))
            up = self.up(self.feed_forward_norm(x))
            return x + self.down(functional.gelu(up, approximate="tanh"))

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(tokens, width)
            self.blocks, self.norm = nn.Sequential(*(Block() for _ in range(layers))), nn.LayerNorm(width)
            nn.init.normal_(self.words.weight, std=0.02)

        def forward(self, ids, labels):
            x = self.blocks(self.words(ids) + self.positions(torch.arange(tokens)))
            logits = functional.linear(self.norm(x), self.words.weight)
            return functional.cross_entropy(logits.view(-1, vocabulary), labels.view(-1))

    return Decoder()


def adamw(parameters):
    """In one operation where PyTorch has that on the CPU (from version 2.4 on)."""
    import torch

    fused = tuple(int(number) for number in torch.__version__.split(".")[:2]) >= (2, 4)
    return torch.optim.AdamW(parameters, lr=1e-4, fused=fused)


def pytorch_worker(shape, samples, threads):
    """Prints the milliseconds of PyTorch's steps and of its AdamW, and the peak memory, as JSON."""
    import torch

    torch.set_num_threads(threads)
    vocabulary, batch, tokens = SHAPES[shape][3:]
    model = pytorch_model(*SHAPES[shape])
    optimiser = adamw(model.parameters())
    ids, labels = (torch.randint(0, vocabulary, (batch, tokens)) for _ in range(2))

    def step():
        optimiser.zero_grad(set_to_none=True)
        model(ids, labels).backward()
        start = time.perf_counter()
        optimiser.step()
        return time.perf_counter() - start

    for _ in range(2):
        step()
    times, updates = [], []
    for _ in range(samples):
        start = time.perf_counter()
        updates.append(1e3 * step())
        times.append(1e3 * (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps({"milliseconds": times, "adamw_ms": statistics.median(updates), "peak_mb": peak,
                      "version": torch.__version__}))


def run_pytorch(shape, options, core):
    """With the kernels of OpenBLAS that metatt chose: on a virtual machine OpenBLAS may not know the
    processor and take those of the oldest."""
    environment = dict(os.environ, OPENBLAS_CORETYPE=core, OMP_NUM_THREADS=str(options.threads))
    command = [sys.executable, __file__, "--worker", shape, "--samples", str(options.samples),
               "--threads", str(options.threads)]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def run_metatt(shape, options):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        subprocess.run([options.metatt, "bench", "decoders", "--shapes", shape, "--samples",
                        str(options.samples), "--threads", str(options.threads), "--json", file],
                       stdout=subprocess.DEVNULL, check=True)
        return json.loads(file.read_text(encoding="utf-8"))[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=3, help="turns of each program")
    parser.add_argument("--samples", type=int, default=5, help="steps timed in each turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--metatt", default=ROOT / "build/apps/metatt", help="the program")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        pytorch_worker(options.worker, options.samples, options.threads)
        return
    print(f"{options.threads} threads, OPENBLAS_CORETYPE {os.environ.get('OPENBLAS_CORETYPE', 'unset')}")
    print("shape      metatt ms    rel  PyTorch ms  ms ratio  AdamW ms  PyTorch  peak MB  PyTorch")
    for shape in options.shapes:
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(run_metatt(shape, options))
            theirs.append(run_pytorch(shape, options, ours[-1]["core"]))

        def median(runs, key):
            values = [value for run in runs for value in
                      (run[key] if isinstance(run[key], list) else [run[key]])]
            return statistics.median(values)

        ms = median(ours, "milliseconds"), median(theirs, "milliseconds")
        print(f"{shape:10}{ms[0]:10.1f}{median(ours, 'rel'):7.3f}{ms[1]:12.1f}{ms[0] / ms[1]:10.3f}"
              f"{median(ours, 'adamw_ms'):10.1f}{median(theirs, 'adamw_ms'):9.1f}"
              f"{median(ours, 'peak_mb'):9.0f}{median(theirs, 'peak_mb'):9.0f}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"scripts/bench_decoders.py: {error}")
