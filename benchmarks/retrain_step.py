"""Training DLRM, DeepFM and DCN-V2 by our step beside lean hand-written loops on the same network.

    python benchmarks/retrain_step.py
    python benchmarks/retrain_step.py --short

At 44 thousand and at 3.1 million table rows. One process and one thread; rounds go through all steps in another order
each time. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Hashable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from measure import machine, table
from pytorch_lightning.callbacks import Callback
from steps import (
    DENSE,
    Parts,
    Step,
    batches,
    cap_for,
    heading,
    interleaved,
    middle,
    parsed,
    plain_step,
    sgemm,
    size_options,
)
from torch import Tensor, nn

from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.config import Recipe
from nasrec_nni.data.batch import Batch
from nasrec_nni.data.sources.criteo import ROWS
from nasrec_nni.operators.loss import click_loss
from nasrec_nni.operators.optimizers import build_optimizer
from nasrec_nni.plugins import registry
from nasrec_nni.training.loader import ResumableLoader
from nasrec_nni.training.module import ClickModule, refuse_not_finite
from nasrec_nni.training.trainer import make_trainer, quiet

HIDDEN = (400, 400, 400)
OURS, CLIPPED, LIGHTNING = "ours, Adam", "ours, Adam with clip and L2", "ours, Adam, in Lightning's loop"
SPARSE, DENSE_GRADIENT = "hand-written, Adam and SparseAdam", "hand-written, Adam, dense gradients"
ADAM = Recipe.model_validate({"preset": "bars", "clip": 0.0, "embedding_l2": 0.0, "dropout": 0.0})
BARS = Recipe.model_validate({"preset": "bars", "dropout": 0.0})
SHORT = {"repeats": 5, "batch": [512]}


def built(name: str, cap: int, *, sparse: bool) -> nn.Module:
    settings = BaselineSettings(
        embedding_init=0.01, sparse_gradients=sparse, max_rows_per_field=cap, hidden=HIDDEN, cross_layers=3
    )
    build: Callable[..., nn.Module] = registry("baselines").load(name)
    return build(DENSE, ROWS, settings).train()


def our_step(network: nn.Module, recipe: Recipe) -> Step:
    """What `nasrec_nni.training` does to one batch, without Lightning's loop."""
    optimizer = build_optimizer(network, recipe)

    def loss(batch: Batch) -> Tensor:
        found = click_loss(network(batch.dense, batch.sparse), batch.label, batch.weight)
        refuse_not_finite(found.detach(), 0)
        return found

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad()

    return Step(loss, update)


class Source:
    """So many batches, one after the other."""

    def __init__(self, several: list[Batch], steps: int) -> None:
        self.several, self.steps = several, steps

    def __len__(self) -> int:
        return self.steps

    def batch(self, epoch: int, step: int) -> Batch:
        return self.several[step % len(self.several)]


class Timer(Callback):
    """CPU and wall seconds from the end of the second step to that of the last."""

    def __init__(self) -> None:
        self.steps = 0
        self.first = self.last = (0.0, 0.0)

    def on_train_batch_end(self, *_: Any) -> None:
        self.last = (process_time(), perf_counter())
        self.steps += 1
        if self.steps == 2:
            self.first = self.last


def in_lightning(network: nn.Module, several: list[Batch], steps: int) -> Parts:
    """A step as `fit` runs it, all of it under `forward`: Lightning does not tell its parts apart."""
    timer = Timer()
    with tempfile.TemporaryDirectory() as folder, quiet():
        trainer = make_trainer(Path(folder), callbacks=[timer], epochs=1, progress=False, device="cpu")
        loader = ResumableLoader(Source(several, steps + 2))
        trainer.fit(ClickModule(network, ADAM, steps + 2), train_dataloaders=loader)
    cpu, wall = (1e3 * (last - first) / steps for first, last in zip(timer.first, timer.last, strict=True))
    return Parts(cpu, 0.0, 0.0, wall)


def measured(options: argparse.Namespace) -> dict[str, Any]:
    found, gflops = [], []
    for batch in options.batch:
        several = batches(batch)
        for model in options.models:
            steps: dict[Hashable, Step] = {}
            lightning: dict[int, Parts] = {}
            for rows in options.rows:
                cap = cap_for(rows)
                steps[rows, OURS] = our_step(built(model, cap, sparse=True), ADAM)
                steps[rows, CLIPPED] = our_step(built(model, cap, sparse=True), BARS)
                steps[rows, SPARSE] = plain_step(built(model, cap, sparse=True))
                steps[rows, DENSE_GRADIENT] = plain_step(built(model, cap, sparse=False))
            gflops.append(sgemm())
            times = {key: middle(every) for key, every in interleaved(steps, several, options.repeats).items()}
            for rows in options.rows:
                lightning[rows] = in_lightning(built(model, cap_for(rows), sparse=True), several, 2 * options.repeats)
                own = {key[1]: parts for key, parts in times.items() if isinstance(key, tuple) and key[0] == rows}
                own[LIGHTNING] = lightning[rows]
                told = {name: parts.as_dict() for name, parts in own.items()}
                found.append({"model": model, "batch": batch, "rows": rows, "steps": told})
            print(f"{model}, batch {batch}: done", file=sys.stderr)
    keys = ("batch", "rows", "models", "repeats", "seed", "threads")
    return {
        "models": found,
        "gflops": gflops,
        "options": {key: getattr(options, key) for key in keys},
        "machine": machine(),
    }


def words(found: dict[str, Any]) -> str:
    head = ("", "table rows", "samples/CPU s", "× hand", "CPU ms", "× fewest rows")
    times = ("forward", "backward", "optimizer", "wall ms")
    texts = []
    for batch in found["options"]["batch"]:
        for model in found["options"]["models"]:
            lines = []
            every = [one for one in found["models"] if one["model"] == model and one["batch"] == batch]
            fewest = min(every, key=lambda one: one["rows"])["steps"]
            for one in every:
                hand = one["steps"][SPARSE]["cpu"]
                for name in (OURS, CLIPPED, LIGHTNING, SPARSE, DENSE_GRADIENT):
                    s = one["steps"][name]
                    parts = [f"{s[key]:.1f}" for key in ("forward", "backward", "optimizer")]
                    rate = (f"{1e3 * batch / s['cpu']:,.0f}", f"{hand / s['cpu']:.2f}")
                    grown = (f"{s['cpu']:.1f}", f"{s['cpu'] / fewest[name]['cpu']:.2f}")
                    shown = parts if name != LIGHTNING else [""] * 3
                    lines.append((name, f"{one['rows']:,}", *rate, *grown, *shown, f"{s['wall']:.1f}"))
            texts.append(f"{model}, batch {batch}\n\n{table((*head, *times), lines)}")
    return "\n\n".join(texts)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size_options(parser, batch=None)
    parser.add_argument("--batch", type=int, nargs="+", default=[512, 4096])
    parser.add_argument("--models", nargs="+", default=["dlrm", "deepfm", "dcnv2"])
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[44_000, 3_100_000], help="of all tables together, about"
    )
    parser.add_argument("--repeats", type=int, default=15)
    options = parsed(parser, given, SHORT)
    found = measured(options)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(heading(found["machine"], found["gflops"]))
    print(f"medians of {options.repeats} steps; CPU time\n\n{words(found)}")


if __name__ == "__main__":
    main()
