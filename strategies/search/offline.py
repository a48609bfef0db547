"""Algorithms compared without training: on a table of architectures that were scored and trained before.

    algorithm --asks--> any architecture --nearest one left--> row of the table --supernet score--> told

A table holds a few hundred of 10**40 architectures, so a proposal stands for the row that differs from it in the
fewest choices, among those not taken yet; that row is what the algorithm is told of. `uniform` takes rows at random:
what any algorithm has to beat.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nasrec_nni.architecture.draw import stream
from nasrec_nni.architecture.json import from_json
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError
from nasrec_nni.files import read_lines
from nasrec_nni.strategies.search.interface import Search
from nasrec_nni.strategies.search.starting import start_search

KEYS = ("architecture", "supernet", "scratch")
UNIFORM = "uniform"


@dataclass(frozen=True)
class Row:
    """One architecture; of both scores lower is better.

    Args:
        architecture: of the space.
        supernet: score with the supernet's weights, which a search sees.
        scratch: score after training from scratch, which counts.
    """

    architecture: Architecture
    supernet: float
    scratch: float


def read_table(path: Path, space: SpaceDescription) -> list[Row]:
    """Rows of a `.jsonl` or `.csv` with columns architecture (as JSON), supernet, scratch; others are skipped.

    Raises:
        UserError: another file, a broken row, an architecture of another space, or one that stands twice.
    """
    rows: list[Row] = []
    seen: set[str] = set()
    for where, content in _contents(path):
        row = _row(content, where, space)
        if row.architecture.id in seen:
            raise UserError("this architecture stands twice", value=row.architecture.id, where=where)
        seen.add(row.architecture.id)
        rows.append(row)
    if len(rows) < 2:
        raise UserError("a table needs two architectures or more", value=len(rows), where=str(path))
    return rows


def _contents(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not path.is_file():
        raise UserError("no such file", where=str(path))
    if path.suffix == ".jsonl":
        yield from ((f"{path}:{number}", line) for number, line in enumerate(read_lines(path), 1))
    elif path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as stream_:
            for number, line in enumerate(csv.DictReader(stream_), 2):
                yield f"{path}:{number}", line
    else:
        raise UserError("a table is read by its suffix", value=path.name, allowed=".jsonl, .csv")


def _row(content: Mapping[str, Any], where: str, space: SpaceDescription) -> Row:
    if not isinstance(content, Mapping) or any(content.get(key) is None for key in KEYS):
        raise UserError("a row needs an architecture and two scores", where=where, allowed=", ".join(KEYS))
    given = content["architecture"]
    try:
        architecture = from_json(json.loads(given) if isinstance(given, str) else given, where)
        scores = [float(content[key]) for key in KEYS[1:]]
    except ValueError as error:
        raise UserError(f"cannot be read: {error}", where=where) from None
    if not all(map(math.isfinite, scores)):
        raise UserError("scores must be finite numbers", value=scores, where=where)
    try:
        space.check(architecture)
    except UserError as error:
        raise UserError(f"not in the space {space.name}: {error.message}", where=where) from None
    return Row(architecture, *scores)


class Nearest:
    """An algorithm that is confined to the rows of a table.

    Args:
        search: freshly started.
        rows: of the table.
    """

    def __init__(self, search: Search, rows: Sequence[Row]) -> None:
        self._search, self._rows = search, rows
        self._choices = np.array([_choices(row.architecture) for row in rows])
        self._free = np.ones(len(rows), np.bool_)

    def ask(self) -> Row | None:
        """The row that the next proposal stands for; None when no row or no proposal is left."""
        proposed = self._search.ask() if self._free.any() else None
        if proposed is None:
            return None
        distance = (self._choices != _choices(proposed)).sum(axis=1).astype(float)
        distance[~self._free] = np.inf
        found = int(distance.argmin())
        self._free[found] = False
        return self._rows[found]

    def tell(self, row: Row) -> None:
        self._search.tell(row.architecture, row.supernet)


def _choices(architecture: Architecture) -> NDArray[np.object_]:
    blocks = architecture.canonical.blocks
    return np.array([repr(value) for block in blocks for value in vars(block).values()], np.object_)


def order(
    rows: Sequence[Row], algorithm: str, space: SpaceDescription, seed: int, budget: int, options: Mapping[str, Any]
) -> list[Row]:
    """The rows that a search takes, in order; the same for the same arguments."""
    budget = min(budget, len(rows))
    if algorithm == UNIFORM:
        return [rows[int(at)] for at in stream(seed, "uniform rows", 0).permutation(len(rows))[:budget]]
    search = Nearest(start_search(algorithm, space, seed, options, budget), rows)
    taken: list[Row] = []
    while len(taken) < budget and (row := search.ask()) is not None:
        search.tell(row)
        taken.append(row)
    return taken


@dataclass(frozen=True)
class Outcome:
    """How an algorithm did, means over seeds.

    Args:
        algorithm: plug-in, or `uniform`.
        best_supernet: lowest supernet score it came upon.
        regret: scratch score of its `top` best by supernet score, the best of them, over the table's best.
        deviation: of the regret, over seeds.
        found: share of seeds in which the table's best by scratch score was among the top.
    """

    algorithm: str
    best_supernet: float
    regret: float
    deviation: float
    found: float


def compare(
    rows: Sequence[Row],
    space: SpaceDescription,
    algorithms: Mapping[str, Mapping[str, Any]],
    *,
    budget: int,
    seeds: Sequence[int],
    top: int = 3,
) -> list[Outcome]:
    """What each algorithm would have handed to the retraining.

    Args:
        rows: of the table.
        space: theirs.
        algorithms: options by name.
        budget: candidates scored; fewer than the rows, or every algorithm finds the same.
        seeds: one search each.
        top: best by supernet score that would be retrained.
    """
    least = min(row.scratch for row in rows)
    found = []
    for name, options in algorithms.items():
        searches = [order(rows, name, space, seed, budget, options) for seed in seeds]
        handed = [sorted(taken, key=lambda row: row.supernet)[:top] for taken in searches]
        regrets = [min(row.scratch for row in one) - least for one in handed]
        supernet = float(np.mean([one[0].supernet for one in handed]))
        hits = float(np.mean([regret == 0 for regret in regrets]))
        found.append(Outcome(name, supernet, float(np.mean(regrets)), float(np.std(regrets)), hits))
    return found


def agreement(rows: Sequence[Row]) -> float:
    """Kendall's tau of the two scores: what the best algorithm cannot mend."""
    return float(kendalltau([row.supernet for row in rows], [row.scratch for row in rows]).statistic)
