"""What a training keeps in memory, reckoned before any of it is taken, and what this machine has.

Every process has the whole table: `FusedEmbedding` is the only table there is, and nothing splits one.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nasrec_nni.config import Recipe
from nasrec_nni.errors import UserError

if TYPE_CHECKING:
    from torch import nn

NUMBER = 4  # bytes of a float32
WORKING = 512 << 20  # bytes on a GPU for a step's activations and what libraries keep there; a guess on the low side
MEMORY, GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
WAYS_OUT = (
    "Cap the tables (max_rows_per_field), hash the large columns into fewer rows when preparing, or take a smaller "
    "space.embedding"
)
NOT_SPLIT = "More GPUs do not help: each holds the whole table, tables split over GPUs (TorchRec) are not supported"


@dataclass(frozen=True)
class Need:
    """Bytes of one process's training.

    Attributes:
        rows: of the tables.
        width: of a row, `E`; of the widest table, if there are several.
        optimizer: of the tables, by its name in a recipe.
        table: their weights.
        states: what the optimizer keeps for them.
        gradients: of the whole table, if they are not sparse.
        rest: all other weights, with their gradients and states.
    """

    rows: int
    width: int
    optimizer: str
    table: int
    states: int
    gradients: int
    rest: int

    @property
    def total(self) -> int:
        return self.table + self.states + self.gradients + self.rest


def states_per_weight(recipe: Recipe, width: int | None = None) -> float:
    """Numbers that an optimizer keeps for each weight: of tables with rows of a width, or of all other weights."""
    name = recipe.optimizer if width is None else recipe.embedding_optimizer or recipe.optimizer
    return {"adagrad": 1.0, "rowwise-adagrad": 1 / max(1, width or 1), "adam": 2.0}[name]


def need(rows: int, width: int, weights: int, recipe: Recipe, numbers: int | None = None) -> Need:
    """Of a training under a recipe.

    Args:
        rows: of all tables, after the cap.
        width: `E`.
        weights: numbers of all other weights.
        recipe: optimizer and L2.
        numbers: of all tables, if not `rows * width`.
    """
    table = NUMBER * (rows * width if numbers is None else numbers)
    states = round(table * states_per_weight(recipe, width))
    dense = recipe.embedding_l2 > 0 and recipe.embedding_l2_scope == "table"
    rest = round(weights * NUMBER * (2 + states_per_weight(recipe)))
    name = recipe.embedding_optimizer or recipe.optimizer
    return Need(rows, width, name, table, states, table if dense else 0, rest)


def need_of(module: nn.Module, recipe: Recipe) -> Need:
    """Of a network or supernet as it is."""
    from nasrec_nni.operators.embedding import FusedEmbedding

    tables = [part.weight for part in module.modules() if isinstance(part, FusedEmbedding)]
    rows, numbers = sum(len(weight) for weight in tables), sum(weight.numel() for weight in tables)
    width = max((weight.shape[1] for weight in tables), default=0)
    return need(rows, width, sum(weight.numel() for weight in module.parameters()) - numbers, recipe, numbers)


def refuse_beyond_gpu(wanted: Need, number: int) -> None:
    """A training that the free memory of one GPU cannot hold does not begin.

    Args:
        wanted: of the training.
        number: of the GPU.

    Raises:
        UserError: it is more than that.
    """
    if wanted.total + WORKING <= gpu_free(number):
        return
    gc.collect()  # an earlier training of this process may hold its network in a cycle
    if error := beyond_gpu(wanted, gpu_free(number), f"are free on GPU {number}", "device"):
        raise error


def gpu_free(number: int) -> int:
    """Bytes that this process can still have of a GPU, what torch keeps for its next tensors included."""
    import torch

    free, _ = torch.cuda.mem_get_info(number)
    return int(free) + torch.cuda.memory_reserved(number) - torch.cuda.memory_allocated(number)


def gpu_memory(number: int) -> int:
    """Bytes of a GPU, used or not."""
    import torch

    return int(torch.cuda.get_device_properties(number).total_memory)


def beyond_gpu(wanted: Need, there: int, which: str, where: str) -> UserError | None:
    """What to say of a training for which so many bytes of a GPU do not suffice; None if they do.

    Args:
        wanted: of the training.
        there: bytes.
        which: they are, as in "are free on GPU 0".
        where: config key.
    """
    if wanted.total + WORKING <= there:
        return None
    return UserError(
        f"this training does not fit into a GPU: {words(wanted)}, a step about {mib(WORKING)}; {mib(there)} {which}",
        where=where,
        hint=f"{WAYS_OUT}, or set device: cpu. {NOT_SPLIT}",
    )


def beyond_machine(wanted: Need, copies: int, where: str) -> UserError | None:
    """What to say of tables that this machine can never hold; None if it can, or that cannot be known.

    Only tables count, whose every row is written when a network is made. States take memory when their row is first
    used: a plan tells of them.

    Args:
        wanted: of one process's training.
        copies: processes with a table of their own.
        where: config key of the tables.
    """
    there = machine_memory()
    if there is None or wanted.table * copies <= there:
        return None
    several = f" in each of {copies} processes" if copies > 1 else ""
    return UserError(
        f"this machine cannot hold the tables: {wanted.rows:,} rows of {wanted.width} numbers take "
        f"{mib(wanted.table)}{several}, and memory and swap are {mib(there)}",
        where=where,
        hint=WAYS_OUT + (", or set devices: 1" if copies > 1 else ""),
    )


def words(wanted: Need) -> str:
    """The parts, for people."""
    parts = [f"{wanted.rows:,} table rows of {wanted.width} numbers take {mib(wanted.table)}"]
    parts.append(f"{wanted.optimizer}'s states of them {mib(wanted.states)}")
    if wanted.gradients:
        parts.append(f"their dense gradients (embedding_l2_scope: table) {mib(wanted.gradients)}")
    return ", ".join([*parts, f"all other weights {mib(wanted.rest)}"])


def mib(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


def machine_memory() -> int | None:
    """Bytes of memory and swap that processes here can have, None where the system does not say (not Linux)."""
    try:
        lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
        there = sum(int(lines[name].split()[0]) << 10 for name in ("MemTotal", "SwapTotal"))
    except (OSError, KeyError, ValueError):
        return None
    try:
        return min(there, int(GROUP.read_text()))
    except (OSError, ValueError):  # no limit reads "max"
        return there
