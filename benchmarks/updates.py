"""The optimizer's part of a supernet's step: our kernels, torch's operations, and other people's kernels.

    python benchmarks/updates.py
    python benchmarks/updates.py --short

Gradients of some paths are recorded and given to each optimizer again, after the processor's caches have been filled
with other things. One process and one thread. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import torch
from measure import machine, table
from steps import CAP, Supernet, batches, heading, parsed, sgemm, size_options
from torch import Tensor, nn

from nasrec_nni.operators.optimizers import Adagrad, Adam, RowwiseAdagrad, base
from nasrec_nni.strategies.sampling.distributions import SINGLE_OPERATOR_ANY_CONNECTION
from nasrec_nni.strategies.sampling.sampler import PathSampler

SHORT = {"paths": 3, "rounds": 2}
KINDS = {"Adagrad": Adagrad, "row-wise Adagrad": RowwiseAdagrad, "lazy Adam": Adam}
OTHER = torch.zeros(16 << 20)  # 64 MiB


class Replay:
    """Recorded gradients of one supernet's steps."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.supernet = Supernet(options.space, options.rows)
        self.table: nn.Parameter = self.supernet.space.embedding.weight
        self.rest = [weight for weight in self.supernet.space.parameters() if weight is not self.table]
        sampler = PathSampler(SINGLE_OPERATOR_ANY_CONNECTION, self.supernet.space.description, seed=options.seed)
        self.steps: list[tuple[list[tuple[nn.Parameter, Tensor]], Tensor]] = []
        for number, batch in enumerate(batches(options.batch, options.paths, options.seed)):
            step = self.supernet.step(lambda number=number: sampler.draw(number)[0].path)  # type: ignore[misc]
            torch.autograd.backward(step.loss(batch))
            assert self.table.grad is not None
            self.steps.append((list(self.supernet.tape.gradients()), self.table.grad))
            self.table.grad = None
            self.supernet.tape.clear()

    def whole(self, kind: Any, kernels: bool) -> Callable[[int], float]:
        """Seconds of a step of our optimizer for everything, with a clip."""
        groups = [{"params": self.rest}, {"params": [self.table]}]
        optimizer = kind(groups, lr=1e-4, eps=1e-2, clip=5.0, tape=self.supernet.tape)
        fits = base.fits if kernels else lambda block: False

        def work(number: int) -> float:
            blocks, rows = self.steps[number]
            self.supernet.tape.clear()
            for weight, gradient in blocks:
                self.supernet.tape.take(weight, tuple(gradient.shape)).grad = gradient.clone()
            self.table.grad = rows.clone()
            OTHER.add_(1)
            kept, base.fits = base.fits, fits
            began = process_time()
            optimizer.step()
            took = process_time() - began
            base.fits = kept
            return took

        return work

    def fused(self) -> Callable[[int], float]:
        """Seconds of torch's fused Adagrad on weights of the slices' sizes: it cannot walk over a slice."""
        made = []
        for blocks, _ in self.steps:
            weights = [nn.Parameter(torch.zeros_like(gradient)) for _, gradient in blocks]
            made.append((weights, torch.optim.Adagrad(weights, lr=1e-4, eps=1e-2, fused=True)))

        def work(number: int) -> float:
            weights, optimizer = made[number]
            for weight, (_, gradient) in zip(weights, self.steps[number][0], strict=True):
                weight.grad = gradient.clone()
            OTHER.add_(1)
            began = process_time()
            nn.utils.clip_grad_norm_(weights, 5.0)
            optimizer.step()
            return process_time() - began

        return work

    def rows_only(self, kind: Any) -> Callable[[int], float]:
        """Seconds of our optimizer for the table alone, the sum over equal ids included."""
        optimizer = kind([self.table], lr=1e-4, eps=1e-2, clip=5.0)

        def work(number: int) -> float:
            self.table.grad = self.steps[number][1].clone()
            OTHER.add_(1)
            began = process_time()
            optimizer.step()
            return process_time() - began

        return work

    def fbgemm(self, name: str) -> Callable[[int], float]:
        """Seconds of fbgemm's backward pass, which updates the table; it cannot wait for a norm.

        Raises:
            ImportError, OSError: it is not there, or not of this torch.
        """
        logging.disable(logging.WARNING)
        import fbgemm_gpu.split_table_batched_embeddings_ops_training as ops  # type: ignore[import-not-found]
        from fbgemm_gpu.split_embedding_configs import EmbOptimType  # type: ignore[import-not-found]

        place = (*self.table.shape, ops.EmbeddingLocation.HOST, ops.ComputeDevice.CPU)
        kinds = {"Adagrad": EmbOptimType.EXACT_ADAGRAD, "row-wise Adagrad": EmbOptimType.EXACT_ROWWISE_ADAGRAD}
        embedding = ops.SplitTableBatchedEmbeddingBagsCodegen(
            [place], optimizer=kinds[name], learning_rate=1e-4, eps=1e-2
        )

        def work(number: int) -> float:
            rows = self.steps[number][1]
            ids, values = rows._indices()[0], rows._values()
            found = embedding(ids, torch.arange(len(ids) + 1))
            OTHER.add_(1)
            began = process_time()
            found.backward(values)
            return process_time() - began

        return work


def measured(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds, the median over paths and rounds, of each kind of work."""
    replay = Replay(options)
    works: dict[str, Callable[[int], float]] = {}
    for name, kind in KINDS.items():
        works[f"{name}: kernels"] = replay.whole(kind, True)
        works[f"{name}: torch's operations"] = replay.whole(kind, False)
    works["slices only, torch's fused Adagrad"] = replay.fused()
    for name in ("Adagrad", "row-wise Adagrad"):
        works[f"table only, {name}: kernels"] = replay.rows_only(KINDS[name])
        try:
            works[f"table only, {name}: fbgemm"] = replay.fbgemm(name)
        except (ImportError, OSError):
            print("fbgemm is not there, or not of this torch", file=sys.stderr)
    order, times = random.Random(options.seed), {name: [] for name in works}  # type: ignore[var-annotated]
    for turn in range(options.rounds + 1):
        for number in range(options.paths):
            for name in order.sample(list(works), len(works)):
                took = 1e3 * works[name](number)
                if turn:  # states find their memory in the first one
                    times[name].append(took)
    return {name: median(every) for name, every in times.items()}


def words(found: dict[str, float]) -> str:
    return table(("", "ms"), [(name, f"{ms:.2f}") for name, ms in found.items()])


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size_options(parser)
    parser.add_argument("--space", default="nasrec-small")
    parser.add_argument("--rows", type=int, default=CAP, help="table rows of a field at most")
    parser.add_argument("--paths", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=6)
    options = parsed(parser, given, SHORT)
    found = measured(options)
    if options.json:
        print(json.dumps({"ms": found, "machine": machine()}, indent=2))
        return
    print(f"{heading(machine(), [sgemm()])}; CPU ms\n\n{words(found)}")


if __name__ == "__main__":
    main()
