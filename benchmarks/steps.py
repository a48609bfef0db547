"""Training steps in their parts, on rows of Criteo's shape: a supernet's, standalone networks', a plain DLRM's.

What the instruments of training and evaluation share. Every timed step is one forward pass with its loss, one
backward pass, one optimizer step with clipping and zeroed gradients; batches are in memory beforehand.
"""

from __future__ import annotations

import argparse
import random
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from time import perf_counter, process_time
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrec_nni import large_pages
from nasrec_nni.architecture.canonical import liveness
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Path
from nasrec_nni.config import Recipe
from nasrec_nni.data.batch import Batch
from nasrec_nni.data.sources.criteo import ROWS
from nasrec_nni.network import NASRecNetwork, TableSettings
from nasrec_nni.operators.embedding import FusedEmbedding
from nasrec_nni.operators.loss import click_loss
from nasrec_nni.operators.optimizers import build_optimizer
from nasrec_nni.operators.optimizers.adagrad import Adagrad
from nasrec_nni.operators.slices import SliceTape
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes, live_macs
from nasrec_nni.threads import set_threads

large_pages.ask()  # as `nasrec` does
K = TypeVar("K", bound=Hashable)
DENSE = 13
CAP = 500_000  # rows a field at most, as in the authors' search
GEMM = 1024
# CPU ms that such a DLRM took a step (batch 512, 3.1 million table rows) beside the measured figures of the authors'
# code: a figure of theirs in steps of DLRM can be carried to another machine.
AUTHORS_DLRM = 27.6
# The published recipe at a rate at which random labels cannot make a weight diverge; a step costs the same.
RECIPE = Recipe.model_validate({"preset": "published", "learning_rate": 1e-3})


@dataclass(frozen=True)
class Parts:
    """Milliseconds of one step: CPU time of its parts, and wall time of all of it."""

    forward: float
    backward: float
    optimizer: float
    wall: float

    @property
    def cpu(self) -> float:
        return self.forward + self.backward + self.optimizer

    def as_dict(self) -> dict[str, float]:
        return asdict(self) | {"cpu": self.cpu}


def middle(several: Sequence[Parts]) -> Parts:
    """The median of each part."""
    return Parts(*(median(getattr(one, name) for one in several) for name in Parts.__dataclass_fields__))


def average(several: Sequence[Parts]) -> Parts:
    """The mean of each part."""
    return Parts(*(mean(getattr(one, name) for one in several) for name in Parts.__dataclass_fields__))


@dataclass(frozen=True)
class Step:
    """A training step.

    Args:
        loss: forward pass of a batch.
        update: what follows the backward pass.
        warm: untimed steps right before each timed one. A standalone network finds its weights in the processor's
            caches, since it trains nothing else; a supernet comes from another path, and has 0.
    """

    loss: Callable[[Batch], Tensor]
    update: Callable[[], None]
    warm: int = 1

    def run(self, batch: Batch) -> Parts:
        wall, began = perf_counter(), process_time()
        loss = self.loss(batch)
        forward = process_time()
        torch.autograd.backward(loss)
        backward = process_time()
        self.update()
        end = process_time()
        times = (forward - began, backward - forward, end - backward, perf_counter() - wall)
        return Parts(*(1e3 * seconds for seconds in times))


def interleaved(
    steps: Mapping[K, Step],
    given: Mapping[K, Sequence[Batch]] | Sequence[Batch],
    repeats: int,
    seed: int = 0,
) -> dict[K, list[Parts]]:
    """Every step `repeats` times, each round in another order, after a round that is not measured.

    The unmeasured round touches optimizer state for the first time, for which the system has to find memory.

    Args:
        steps: by name.
        given: batches of all steps, or of each by its name.
        repeats: timed rounds.
        seed: of the orders and of which batch a step gets.
    """
    found: dict[K, list[Parts]] = {name: [] for name in steps}
    order = random.Random(seed)
    for number in range(repeats + 1):
        for name in order.sample(list(steps), len(steps)):
            step = steps[name]
            source = given[name] if isinstance(given, Mapping) else given
            for _ in range(step.warm if number else 0):
                step.run(order.choice(source))
            parts = step.run(order.choice(source))
            if number:
                found[name].append(parts)
    return found


def batches(size: int, count: int = 8, seed: int = 0, rows: Sequence[int] = ROWS) -> list[Batch]:
    """Random batches; ids follow Zipf's law with exponent 1 in each field, so ids are ordered by falling count."""
    generator = torch.Generator().manual_seed(seed)
    fields = torch.tensor(rows, dtype=torch.float64)
    found = []
    for _ in range(count):
        u = torch.rand(size, len(rows), dtype=torch.float64, generator=generator)
        ids = (torch.pow(fields, u).long() - 1).clamp(min=0)
        dense = torch.rand(size, DENSE, generator=generator) * 4
        found.append(Batch(dense, ids, torch.randint(2, (size,), generator=generator).float()))
    return found


def cap_for(total: int) -> int:
    """The cap of a field's rows at which all tables together have about `total` rows."""
    low, high = 2, max(ROWS)
    while low < high:
        cap = (low + high + 1) // 2
        low, high = (cap, high) if sum(min(n, cap) for n in ROWS) <= total else (low, cap - 1)
    return low


def table_of(cap: int) -> TableSettings:
    """Criteo's table with sparse gradients."""
    return TableSettings(ROWS, max_rows_per_field=cap)


def sgemm(rounds: int = 5) -> float:
    """GFLOP per CPU second of a 1024³ product in float32, the best of some by torch and by numpy: the machine's."""
    a, b = torch.rand(GEMM, GEMM), torch.rand(GEMM, GEMM)
    out = torch.empty(GEMM, GEMM)
    times = []
    for number in range(2 * rounds + 2):
        began = process_time()
        if number % 2:
            np.matmul(a.numpy(), b.numpy(), out=out.numpy())
        else:
            torch.mm(a, b, out=out)
        times.append(process_time() - began)
    return 2e-9 * GEMM**3 / min(times[2:])


def training_flop(macs: int, batch: int) -> float:
    """Floating-point operations of a step's forward and backward pass: 3 products, 2 operations a MAC."""
    return 6.0 * macs * batch


class Supernet:
    """A supernet with the optimizer of its training; a step is what `train_supernet` does, without Lightning's loop.

    Args:
        name: search space.
        cap: rows of a field at most.
        sizes: as of `SpaceDescription.with_sizes`.
    """

    def __init__(self, name: str, cap: int, **sizes: Any) -> None:
        warnings.filterwarnings("ignore", ".*is found to be not a nn.Module.*", RuntimeWarning)  # NNI, when imported
        from nasrec_nni.search_spaces.space import NASRecSpace
        from nasrec_nni.strategies.one_shot.strategies import SingleOperatorAnyConnection

        space = NASRecSpace(dense=DENSE, rows_per_field=ROWS, space=name, max_rows_per_field=cap, **sizes)
        self.space: Any = SingleOperatorAnyConnection().mutate_model(space)
        self.space.train()
        self.tape = SliceTape()
        self.optimizer = build_optimizer(self.space, RECIPE, self.tape)
        self.row_macs = 0

    @property
    def sizes(self) -> Sizes:
        return self.space.sizes  # type: ignore[no-any-return]

    def step(self, draw: Callable[[], Path]) -> Step:
        """A step along what `draw` gives; drawing, counting work and finding live parts are in the forward pass."""
        from nasrec_nni.training.module import refuse_not_finite

        def loss(batch: Batch) -> Tensor:
            liveness.cache_clear()  # a training hardly ever meets a path twice
            with self.tape.recording():
                path = draw()
                self.space.activate(path)
                self.row_macs += len(batch.label) * live_macs(path, self.sizes)
                found = click_loss(self.space(batch.dense, batch.sparse), batch.label)
                refuse_not_finite(found.detach(), 0)
            return found

        def update() -> None:
            self.optimizer.step()
            self.optimizer.zero_grad()

        return Step(loss, update, warm=0)


class Standalone:
    """Steps of the standalone networks of paths; they share one table and its optimizer state.

    Args:
        sizes: of data and space.
        cap: rows of a field at most.
    """

    def __init__(self, sizes: Sizes, cap: int) -> None:
        self.sizes = sizes
        self.table = table_of(cap)
        self.embedding = self.table.build(sizes.embedding)
        self._states: dict[str, dict[str, Any]] = {}

    def network(self, path: Path) -> NASRecNetwork:
        return NASRecNetwork(path, self.sizes, self.table, embedding=self.embedding).train()

    def step(self, path: Path) -> Step:
        """Our optimizer for everything."""
        network = self.network(path)
        optimizer = build_optimizer(network, RECIPE)
        self._share(optimizer)

        def update() -> None:
            optimizer.step()
            optimizer.zero_grad()

        return Step(lambda batch: click_loss(network(batch.dense, batch.sparse), batch.label), update)

    def lean_step(self, path: Path) -> Step:
        """torch's fused Adagrad and its clipping for the blocks, ours for the table."""
        network = self.network(path)
        blocks = [weight for weight in network.parameters() if weight is not self.embedding.weight]
        dense = torch.optim.Adagrad(blocks, lr=RECIPE.learning_rate, eps=RECIPE.epsilon, fused=True)
        rows = Adagrad([self.embedding.weight], lr=RECIPE.learning_rate, eps=RECIPE.epsilon, clip=RECIPE.clip)
        self._share(rows)

        def loss(batch: Batch) -> Tensor:
            return F.binary_cross_entropy_with_logits(network(batch.dense, batch.sparse), batch.label)

        def update() -> None:
            nn.utils.clip_grad_norm_(blocks, RECIPE.clip)
            dense.step()
            rows.step()
            dense.zero_grad()
            rows.zero_grad()

        return Step(loss, update)

    def _share(self, optimizer: Any) -> None:
        optimizer.state[self.embedding.weight] = self._states.setdefault(type(optimizer).__name__, {})


class PlainDLRM(nn.Module):
    """The peers' yardstick in plain torch: bottom MLP 64-16, products of all pairs, top MLP 400-400-400.

    Dense `[B, 13]` and ids `[B, 26]` to logits `[B]`.
    """

    pairs: Tensor

    def __init__(self, cap: int, *, sparse: bool = True, width: int = 16) -> None:
        super().__init__()
        self.table = FusedEmbedding(ROWS, width, sparse=sparse, init=0.01, max_rows_per_field=cap)
        self.bottom = nn.Sequential(nn.Linear(DENSE, 64), nn.ReLU(), nn.Linear(64, width), nn.ReLU())
        vectors = len(ROWS) + 1
        self.register_buffer("pairs", torch.triu_indices(vectors, vectors, 1), persistent=False)
        layers: list[nn.Module] = []
        inputs = width + self.pairs.shape[1]
        for hidden in (400, 400, 400):
            layers += [nn.Linear(inputs, hidden), nn.ReLU()]
            inputs = hidden
        self.top = nn.Sequential(*layers, nn.Linear(inputs, 1))

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        first = self.bottom(dense)
        vectors = torch.cat((first.unsqueeze(1), self.table(sparse)), 1)
        products = torch.bmm(vectors, vectors.transpose(1, 2))[:, self.pairs[0], self.pairs[1]]
        return self.top(torch.cat((first, products), 1)).squeeze(1)  # type: ignore[no-any-return]


def plain_step(network: nn.Module) -> Step:
    """A lean hand-written loop: torch's Adam for what is dense, its SparseAdam for tables with sparse gradients."""
    tables = [part.weight for part in network.modules() if isinstance(part, FusedEmbedding) and part.sparse]
    kept = {id(weight) for weight in tables}
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Adam([weight for weight in network.parameters() if id(weight) not in kept], lr=1e-3)
    ]
    if tables:
        optimizers.append(torch.optim.SparseAdam(tables, lr=1e-3))

    def loss(batch: Batch) -> Tensor:
        return F.binary_cross_entropy_with_logits(network(batch.dense, batch.sparse), batch.label)

    def update() -> None:
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return Step(loss, update)


def described(name: str, **sizes: Any) -> SpaceDescription:
    """A registered space at some sizes."""
    return registry("search_spaces").load(name).with_sizes(**sizes)  # type: ignore[no-any-return]


def groups(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The items in order, so many at a time."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


def size_options(parser: argparse.ArgumentParser, batch: int | None = 512) -> None:
    """Options that every instrument of training has; a batch only where there is one."""
    if batch is not None:
        parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="for the wall time; CPU figures are of one thread")
    parser.add_argument("--short", action="store_true", help="few architectures and repeats")
    parser.add_argument("--json", action="store_true", help="every figure")


def parsed(parser: argparse.ArgumentParser, given: list[str] | None, short: dict[str, Any]) -> argparse.Namespace:
    """The options, with the defaults of the short form if it is asked for; threads and seed are set."""
    options = parser.parse_args(given)
    if options.short:
        parser.set_defaults(**short)
        options = parser.parse_args(given)
    set_threads(options.threads)
    torch.manual_seed(options.seed)
    return options


def space_sizes(options: argparse.Namespace) -> dict[str, Any]:
    """What the options say of a space; unset ones are the space's own."""
    widths = {"dense_widths": options.dense_widths, "sparse_rows": options.sparse_rows}
    return {"blocks": options.blocks} | {key: tuple(value) if value else None for key, value in widths.items()}


def sizes_of_space(parser: argparse.ArgumentParser) -> None:
    """Options that change a space's sizes."""
    parser.add_argument("--blocks", type=int, help="choice blocks, the space's own if unset")
    parser.add_argument("--dense-widths", type=int, nargs="+", metavar="D")
    parser.add_argument("--sparse-rows", type=int, nargs="+", metavar="S")


def heading(machine: dict[str, Any], gflops: Iterable[float]) -> str:
    """The machine in a line."""
    where = f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']:.1f}"
    return f"{where}, torch {machine['versions']['torch']}; sgemm {median(gflops):.0f} GFLOP/s"
