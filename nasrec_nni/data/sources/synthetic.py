"""A click log from a seed, whose best attainable log loss is known.

    eight numbers d, ten categories c with latent vectors u, t of `WIDTH`; missing is one more category
    logit = bias + Σ first[c] + Σ_pairs <u_i, u_j> + Σ_triples Σ_k t_i t_j t_l + Σ d × w[c] + linear and sin of d
    click ~ Bernoulli(sigmoid(logit))

The probability is a function of what the log shows: a cell is made missing before it counts. Source: ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import brentq
from scipy.special import expit

from nasrec_nni.data.sources.base import Chunk, Columns, LogSource, SourceOptions
from nasrec_nni.errors import UserError

FIELDS = {
    "user": 2000,
    "item": 600,
    "site": 200,
    "campaign": 100,
    "region": 40,
    "category": 20,
    "hour": 24,
    "device": 8,
    "slot": 6,
    "plan": 4,
}
COUNTS = ("visits", "views", "basket", "age_days", "words", "price")
SIGNED = ("balance", "trend")  # these have negative values
# what 80,000 rows can teach: most weight lies between fields of few categories
PAIRS = (
    ("category", "hour"),
    ("device", "slot"),
    ("region", "plan"),
    ("category", "device"),
    ("campaign", "plan"),
)
TRIPLES = (("hour", "device", "plan"), ("category", "slot", "plan"))
CROSSES = (("price", "category"), ("visits", "plan"), ("balance", "device"))
WIDTH = 1
LEAN = 0.4  # mean of latent entries: products then have main effects that lead a learner to them
FIRST_ORDER, SECOND_ORDER, THIRD_ORDER, CROSS_ORDER = 0.2, 0.8, 0.5, 0.3  # weights in the logit
CHUNK = 1 << 15
CALIBRATION = 1 << 15  # rows that fix the bias
WORLD, ROWS = 0, 1  # streams of random numbers


class Options(SourceOptions):
    """What the log is made of."""

    rows: int = Field(100_000, ge=100, description="rows")
    seed: int = Field(0, ge=0, description="of everything drawn")
    clicks: float = Field(0.2, gt=0.01, lt=0.99, description="expected share of clicks")
    missing: float = Field(0.05, ge=0, lt=0.9, description="share of cells without a value, in half of the columns")


@dataclass(frozen=True)
class _Rows:
    dense: dict[str, NDArray[np.float64]]
    codes: dict[str, NDArray[np.int64]]
    logit: NDArray[np.float64]


@dataclass
class Source(LogSource):
    """The embedded log. It takes no input files."""

    Options = Options
    default_min_count: ClassVar[int] = 10

    def columns(self) -> Columns:
        if self.inputs:
            raise UserError("source 'synthetic' takes no input", value=str(self.inputs[0]), where="inputs")
        if self.split == "given":
            raise UserError("source 'synthetic' names no splits", value="given", where="split", hint="Use random")
        return Columns(
            "click",
            dict.fromkeys((*COUNTS, *SIGNED), "a number by construction"),
            dict.fromkeys(FIELDS, "a category by construction"),
        )

    def chunks(self) -> Iterator[Chunk]:
        made = 0
        while made < self.options.rows:
            random = np.random.default_rng([self.options.seed, ROWS, made])
            rows = self._draw(random, min(CHUNK, self.options.rows - made))
            probability = expit(rows.logit + self._bias)
            label = (random.random(len(probability)) < probability).astype(np.float32)
            yield Chunk(label, rows.dense, self._strings(rows.codes), probability=probability)
            made += len(label)

    @cached_property
    def _bias(self) -> float:
        rows = self._draw(np.random.default_rng([self.options.seed, WORLD, 1]), CALIBRATION)
        return float(brentq(lambda bias: expit(rows.logit + bias).mean() - self.options.clicks, -30, 30))

    @cached_property
    def _world(self) -> dict[str, NDArray[np.float64]]:
        """Per category: first-order weight, latent vectors of pairs and triples; the last row is missing's."""
        random = np.random.default_rng([self.options.seed, WORLD, 0])
        world = {}
        for name, size in FIELDS.items():
            world[f"first {name}"] = random.normal(0, FIRST_ORDER, size + 1)
            world[f"pair {name}"] = random.normal(LEAN, 1, (size + 1, WIDTH))
            world[f"triple {name}"] = random.normal(LEAN, 1, (size + 1, WIDTH))
            world[f"cross {name}"] = random.normal(0, 1, size + 1)
        return world

    def _draw(self, random: np.random.Generator, n: int) -> _Rows:
        codes = {}
        for index, (name, size) in enumerate(FIELDS.items()):
            weights = 1 / (np.arange(size) + 2.0)  # Zipf's law, its top flattened a little
            found = np.minimum(np.searchsorted(np.cumsum(weights) / weights.sum(), random.random(n)), size - 1)
            codes[name] = np.where(self._hidden(random, n, index), size, found)
        dense = {}
        for index, name in enumerate((*COUNTS, *SIGNED)):
            if name in SIGNED:
                drawn = np.round(random.normal(0, 1, n), 3)
            else:
                drawn = np.floor(np.exp(random.normal(1.5, 1.0, n)))
            dense[name] = np.where(self._hidden(random, n, index), np.nan, drawn)
        return _Rows(dense, codes, self._logit(dense, codes))

    def _hidden(self, random: np.random.Generator, n: int, index: int) -> NDArray[np.bool_]:
        drawn: NDArray[np.bool_] = random.random(n) < self.options.missing
        return drawn if index % 2 else np.zeros(n, bool)

    def _logit(self, dense: dict[str, NDArray[np.float64]], codes: dict[str, NDArray[np.int64]]) -> NDArray[np.float64]:
        world = self._world
        scaled = {name: np.nan_to_num(x if name in SIGNED else np.log1p(x) - 1.6) for name, x in dense.items()}
        logit = 0.2 * scaled["views"] - 0.2 * scaled["age_days"] + 0.4 * np.sin(2 * scaled["trend"])
        for name, found in codes.items():
            logit = logit + world[f"first {name}"][found]
        for left, right in PAIRS:
            product = world[f"pair {left}"][codes[left]] * world[f"pair {right}"][codes[right]]
            logit = logit + SECOND_ORDER * product.sum(1)
        for first, second, third in TRIPLES:
            product = world[f"triple {first}"][codes[first]] * world[f"triple {second}"][codes[second]]
            logit = logit + THIRD_ORDER * (product * world[f"triple {third}"][codes[third]]).sum(1)
        for number, name in CROSSES:
            logit = logit + CROSS_ORDER * scaled[number] * world[f"cross {name}"][codes[name]]
        return np.asarray(logit)

    def _strings(self, codes: dict[str, NDArray[np.int64]]) -> dict[str, Any]:
        return {name: self._values[name].take(pa.array(numbers)) for name, numbers in codes.items()}

    @cached_property
    def _values(self) -> dict[str, Any]:
        """Names of all categories: the number in one says nothing of its frequency; the last is null."""
        found = {}
        for name, size in FIELDS.items():
            order = np.random.default_rng([size]).permutation(size)
            found[name] = pa.array([*(f"{name[0]}{number:04d}" for number in order), None], pa.string())
        return found
