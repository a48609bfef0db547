"""Shuffled batches from a prepared set: rows per CPU second beside the usual loaders, and the share of a training step.

    python benchmarks/loader.py --data DATA          # a set made by nasrec prepare
    python benchmarks/loader.py --rows 1000000       # of a log made for the occasion

One process and one thread; rounds go through all loaders in another order each time. Medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import TYPE_CHECKING, Any

from logs import growing
from measure import THREADS, machine, table

if TYPE_CHECKING:
    from nasrec_nni.data.prepared import PreparedSet

OURS = "Batches, global shuffle"
USUAL = "TensorDataset + DataLoader(shuffle)"
ARCHITECTURES = 4  # random networks of NASRec-Small; their costs differ several times
SLOWER = 8  # the usual loader is read for so many times fewer rows
Epoch = Callable[[int, int], int]  # (batch, rows at most) to rows read


def loaders(prepared: PreparedSet) -> dict[str, Epoch]:
    """Each begins a new epoch of the training rows, drawing its order included, and reads batches of it."""
    import numpy as np
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from nasrec_nni.data.loader import Batches

    rows = prepared.rows("train")
    chosen = np.asarray(rows)
    mapped = (prepared.dense, prepared.sparse, prepared.label)
    tensors = tuple(torch.from_numpy(array.take(chosen, axis=0)) for array in mapped)
    order = np.random.default_rng(0).permutation(chosen)

    def batches(batch: int, most: int) -> int:
        source = Batches(prepared, rows, batch, seed=random.randrange(1 << 30))
        return sum(len(source.batch(0, step).label) for step in range(min(len(source), -(-most // batch))))

    def in_memory(batch: int, most: int) -> int:
        drawn = torch.randperm(len(tensors[2]))
        return sum(
            len([tensor[drawn[at : at + batch]] for tensor in tensors][2])
            for at in range(0, min(most, len(drawn)), batch)
        )

    def usual(batch: int, most: int) -> int:
        read = 0
        for _, _, label in DataLoader(TensorDataset(*tensors), batch_size=batch, shuffle=True):
            read += len(label)
            if read >= most / SLOWER:
                break
        return read

    def gather(batch: int, most: int) -> int:
        return sum(
            len([array.take(order[at : at + batch], axis=0) for array in mapped][2])
            for at in range(0, min(most, len(order)), batch)
        )

    return {
        OURS: batches,
        "torch gather from memory": in_memory,
        USUAL: usual,
        "limit: numpy gather from the mapped arrays": gather,
    }


def rates(prepared: PreparedSet, sizes: list[int], rounds: int, most: int) -> dict[str, dict[str, list[float]]]:
    """Rows per CPU second of every round, by loader and batch size."""
    works = loaders(prepared)
    found: dict[str, dict[str, list[float]]] = {name: {str(size): [] for size in sizes} for name in works}
    for number in range(rounds + 1):  # round 0 brings the arrays into memory
        for size in sizes:
            for name in random.Random(number).sample(sorted(works), len(works)):
                began = process_time()
                read = works[name](size, most)
                if number:
                    found[name][str(size)].append(read / (process_time() - began))
    return found


def shares(prepared: PreparedSet, sizes: list[int], steps: int) -> list[dict[str, Any]]:
    """CPU ms of `Batches.batch` and of the whole step, at each batch size, for DLRM and networks of NASRec-Small.

    The networks are standalone ones, which a retraining trains; a step of a supernet is never faster.
    """
    import torch
    from torch.nn import functional as F

    from nasrec_nni.baselines.dlrm import DLRM
    from nasrec_nni.baselines.settings import BaselineSettings
    from nasrec_nni.config import Recipe
    from nasrec_nni.data.loader import Batches
    from nasrec_nni.network import NASRecNetwork, TableSettings
    from nasrec_nni.operators.optimizers import build_optimizer
    from nasrec_nni.plugins import registry
    from nasrec_nni.profiling import Sizes
    from nasrec_nni.strategies.sampling.sampler import architectures

    rows, dense, fields = prepared.rows("train"), prepared.dense_width, prepared.rows_per_field
    space = registry("search_spaces").load("nasrec-small")
    drawn = architectures(space, 0, ARCHITECTURES)
    shape = Sizes.of(space, dense, len(fields), layer_norm=False)
    kinds: dict[str, tuple[Recipe, list[Callable[[], torch.nn.Module]]]] = {
        "DLRM": (Recipe(preset="bars"), [lambda: DLRM(dense, fields, BaselineSettings())]),
        f"NASRec-Small, {ARCHITECTURES} random networks": (
            Recipe(preset="published"),
            [lambda a=a: NASRecNetwork(a, shape, TableSettings(fields)) for a in drawn],  # type: ignore[misc]
        ),
    }
    found = []
    for size in sizes:
        batches = Batches(prepared, rows, size, seed=0)
        for name, (recipe, builds) in kinds.items():
            loading, whole = [], []
            for build in builds:
                network = build().train()
                optimizer = build_optimizer(network, recipe)
                for step in range(steps + 1):  # the first one allocates
                    began = process_time()
                    batch = batches.batch(step // len(batches), step % len(batches))
                    loaded = process_time()
                    loss = F.binary_cross_entropy_with_logits(network(batch.dense, batch.sparse), batch.label)
                    torch.autograd.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()
                    if step:
                        loading.append(1e3 * (loaded - began))
                        whole.append(1e3 * (process_time() - began))
            share = sum(loading) / sum(whole)
            mean = (sum(loading) / len(loading), sum(whole) / len(whole))
            found.append({"model": name, "batch": size, "loading_ms": mean[0], "step_ms": mean[1], "share": share})
            print(f"{name}, batch {size}: {share:.2%} of a step", file=sys.stderr)
    return found


def opened(options: argparse.Namespace, work: Path) -> PreparedSet:
    """The set named, or one made of a log with a growing vocabulary."""
    from nasrec_nni.data.prepare import prepare
    from nasrec_nni.data.prepared import PreparedSet

    if options.data:
        return PreparedSet.load(options.data)
    growing(options.rows, work / "log.tsv")
    return prepare("criteo", [work / "log.tsv"], work / "set", progress=False)


def words(found: dict[str, Any], rounds: int) -> str:
    own = found["rates"][OURS]
    head = ("rows per CPU s", *(part for size in own for part in (f"batch {int(size):,}", "× ours")))
    lines = []
    for name, every in found["rates"].items():
        cells = [(f"{median(every[size]):,.0f}", f"{median(every[size]) / median(own[size]):.2f}") for size in own]
        lines.append((name, *(part for pair in cells for part in pair)))
    text = f"{found['train_rows']:,} training rows; medians of {rounds} rounds\n\n" + table(head, lines)
    if found["shares"]:
        shown = (
            (s["model"], f"{s['batch']:,}", f"{s['loading_ms']:.2f}", f"{s['step_ms']:.1f}", f"{s['share']:.2%}")
            for s in found["shares"]
        )
        text += "\n\n" + table(("training step", "batch", "loading, ms", "whole step, ms", "share"), shown)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="a prepared set")
    source.add_argument("--rows", type=int, help="rows of a log to make and prepare")
    parser.add_argument("--batch", type=int, nargs="+", default=[512, 4096, 8192])
    parser.add_argument("--step-batch", type=int, nargs="*", default=[512, 4096], help="of the training steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=1_000_000, help="rows of an epoch that are read at most")
    parser.add_argument("--steps", type=int, default=8, help="training steps timed of every network")
    parser.add_argument("--work", type=Path, help="folder for what --rows makes; all of it is removed again")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ |= dict.fromkeys(THREADS, "1")
    import torch

    torch.set_num_threads(1)
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        prepared = opened(options, Path(folder))
        found: dict[str, Any] = {
            "train_rows": prepared.split_sizes()["train"],
            "rates": rates(prepared, options.batch, options.rounds, options.most),
            "shares": shares(prepared, options.step_batch, options.steps),
            "machine": machine(),
        }
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['machine']['cpu']}, {found['machine']['cores']} cores, load {found['machine']['load']:.1f}")
    print(words(found, options.rounds))


if __name__ == "__main__":
    main()
