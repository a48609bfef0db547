"""Matrix products of training and evaluation by torch's library and by numpy's, in one thread.

    python benchmarks/products.py                  # the shapes at which operators choose
    python benchmarks/products.py --shapes 512x1035x1024

A shape is rows x inputs x outputs of a map; its products are the forward one and those of both gradients.
`nasrec_nni/operators/kernels/product.py` takes numpy's where it is the faster one. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
from measure import machine, table
from steps import heading, parsed, sgemm, size_options

BATCH = [(512, 512, 128), (512, 512, 256), (512, 512, 512), (512, 528, 512), (512, 512, 1024), (512, 780, 768)]
BATCH += [(512, 1024, 1024), (512, 1035, 1024)]
THIN = [(8192, 1024, 16), (65536, 64, 48), (8192, 16, 1024), (8192, 512, 64)]
MANY = [(8192, 512, 128), (8192, 528, 512), (8192, 1035, 1024)]
SHORT = {"shapes": [(512, 512, 128), (512, 512, 512), (512, 1035, 1024)], "rounds": 5}
PRODUCTS = ("forward", "of the input", "of the weight")


def shape(text: str) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in text.split("x"))
    if len(sizes) != 3 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not rows x inputs x outputs, as in 512x1035x1024")
    return sizes


def pairs(rows: int, inputs: int, outputs: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Both sides of each of `PRODUCTS`; the weight is a slice of a larger one, as a supernet has them."""
    x, gradient = torch.randn(rows, inputs), torch.randn(rows, outputs)
    weight = torch.randn(inputs, outputs + 16)[:, :outputs]
    return [(x, weight), (gradient, weight.t()), (x.t(), gradient)]


def in_turns(works: dict[str, Callable[[], Any]], rounds: int, order: random.Random) -> dict[str, list[float]]:
    """CPU milliseconds of every work in each round, after a round that is not measured."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name in order.sample(list(works), len(works)):
            began = process_time()
            works[name]()
            if number:
                times[name].append(1e3 * (process_time() - began))
    return times


def measured(shapes: list[tuple[int, ...]], rounds: int, seed: int) -> list[dict[str, Any]]:
    """Medians of every product by either library, and of the rounds' ratios."""
    order, found = random.Random(seed), []
    for rows, inputs, outputs in shapes:
        for name, (left, right) in zip(PRODUCTS, pairs(rows, inputs, outputs), strict=True):
            out = torch.empty(left.shape[0], right.shape[1])
            arrays = left.numpy(), right.numpy(), out.numpy()
            works = {
                "torch": partial(torch.mm, left, right, out=out),
                "numpy": partial(np.matmul, arrays[0], arrays[1], out=arrays[2]),
            }
            times = in_turns(works, rounds, order)
            gflop = 2e-9 * rows * inputs * outputs
            taken = {library: median(every) for library, every in times.items()}
            ratio = median(mine / theirs for theirs, mine in zip(times["torch"], times["numpy"], strict=True))
            found.append({"shape": [rows, inputs, outputs], "product": name, "gflop": gflop, "ratio": ratio} | taken)
    return found


def words(found: dict[str, Any]) -> str:
    head = ("rows x inputs x outputs", "product", "torch ms", "numpy ms", "numpy ÷ torch", "GFLOP/s torch", "numpy")
    lines = []
    for one in found["products"]:
        rates = [f"{1e3 * one['gflop'] / one[library]:.0f}" for library in ("torch", "numpy")]
        sizes = " x ".join(map(str, one["shape"]))
        lines.append(
            (sizes, one["product"], f"{one['torch']:.2f}", f"{one['numpy']:.2f}", f"{one['ratio']:.2f}", *rates)
        )
    return table(head, lines)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size_options(parser, batch=None)
    parser.add_argument("--shapes", type=shape, nargs="+", default=BATCH + THIN + MANY, metavar="NxKxD")
    parser.add_argument("--rounds", type=int, default=21)
    options = parsed(parser, given, SHORT)
    found: dict[str, Any] = {"products": measured(options.shapes, options.rounds, options.seed), "machine": machine()}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{heading(found['machine'], [sgemm()])}\n\n{words(found)}")


if __name__ == "__main__":
    main()
