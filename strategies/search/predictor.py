"""Search by a predictor: learn from what was told which architectures would rank high, and ask those.

    told ──► ranks ──► ridge, random forest ──► expected rank of a pool ──► the best of it, one after the other
                                                  ▲ mutants of the best told, random ones

Ranks, not values: what counts is the order, and one odd loss does not pull the fit. Of several objectives each is
predicted, and every ask draws weights for the largest weighted rank (ParEGO, Knowles, IEEE TEC 2006). Ours: the two
regressors are scikit-learn's, and their mean is the expectation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nasrec_nni.architecture.draw import coin, pick, random_architecture, stream
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.strategies.search.encoding import encode
from nasrec_nni.strategies.search.interface import Excess, Options, parse_options
from nasrec_nni.strategies.search.mutation import mutate
from nasrec_nni.strategies.search.offspring import crossed
from nasrec_nni.strategies.search.pareto import by_merit
from nasrec_nni.strategies.search.random_search import new_random
from nasrec_nni.strategies.search.records import Record
from nasrec_nni.strategies.search.unique import Unique

RIDGE, STEPS = 10.0, 3
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class PredictorOptions(Options):
    """When it learns, from what it picks, and how much is left to chance."""

    first: Annotated[int, Field(ge=2)] = Field(24, description="random candidates before the first fit")
    refit_every: Count = Field(12, description="results between two fits")
    pool: Count = Field(128, description="architectures that are ranked after each fit")
    parents: Count = Field(12, description="best told ones whose mutants fill the pool")
    random: Share = Field(0.25, description="share of random architectures in the pool")
    trees: Count = Field(40, description="of the forest")
    explore: Share = Field(0.1, description="share of candidates that are random, whatever is predicted")


class _Ranked(NamedTuple):
    """One of the pool, and its predicted rank in each objective, 0 to 1."""

    architecture: Architecture
    expected: NDArray[np.float64]


class PredictorSearch:
    """Asks what two regressors expect to rank best.

    Args:
        space: where to search.
        seed: not negative.
        options: see `PredictorOptions`.
        budget: not used; every prefix is the same search.
        excess: of the limits.
        earlier: successes are learnt from as if they had been asked; so many fewer are random at first.

    Raises:
        UserErrors: unknown or wrong options.
    """

    def __init__(
        self,
        space: SpaceDescription,
        seed: int,
        options: Mapping[str, Any] | None = None,
        budget: int | None = None,
        *,
        excess: Excess | None = None,
        earlier: Sequence[Record] = (),
    ) -> None:
        self._options = parse_options(PredictorOptions, options)
        self._space, self._seed = space, seed
        self._unique = Unique(space, excess, earlier)
        told = [(record.architecture, record.point) for record in earlier if record.point is not None]
        self._points = [point for _, point in told]
        self._told = [architecture for architecture, _ in told]
        self._encoded: list[NDArray[np.float32]] = list(encode(self._told, space)) if told else []
        self._pool: list[_Ranked] = []
        self._fitted_on = 0

    def ask(self) -> Architecture | None:
        """The next candidate, new by canonical id; None when the space has nothing new left."""
        number = len(self._unique)
        generator = stream(self._seed, "predictor", number)
        if len(self._told) < self._options.first or coin(generator, self._options.explore):
            return new_random(self._space, self._seed, self._unique)
        if not self._fitted_on or len(self._told) - self._fitted_on >= self._options.refit_every:
            self._pool = self._ranked(number)
            self._fitted_on = len(self._told)
        return self._best(generator) or new_random(self._space, self._seed, self._unique)

    def tell(
        self,
        architecture: Architecture,
        value: float | None,
        failure: str | None = None,
        values: tuple[float, ...] | None = None,
    ) -> None:
        """A success is learnt from at the next fit."""
        if value is not None:
            self._told.append(architecture)
            self._points.append(values or (value,))
            self._encoded.append(encode([architecture], self._space)[0])

    def _best(self, generator: np.random.Generator) -> Architecture | None:
        """The best of the pool, by weights drawn for this ask if there are several objectives; it leaves the pool."""
        weights = generator.dirichlet(np.ones(len(self._points[0]))) if len(self._points[0]) > 1 else np.ones(1)
        self._pool.sort(key=lambda one: float(_scalar(one.expected, weights)), reverse=True)
        while self._pool:
            architecture = self._pool.pop().architecture
            if self._unique.add(architecture):
                return architecture
        return None

    def _ranked(self, number: int) -> list[_Ranked]:
        generator = stream(self._seed, "predictor pool", number)
        pool = self._drawn(generator)
        if not pool:
            return []
        known, wanted = np.array(self._encoded), encode(pool, self._space)
        forest = {"n_estimators": self._options.trees, "random_state": number % 2**32}
        columns = [_predicted(known, _rank(column), wanted, forest) for column in np.array(self._points).T]
        return [_Ranked(one, expected) for one, expected in zip(pool, np.array(columns).T, strict=True)]

    def _drawn(self, generator: np.random.Generator) -> list[Architecture]:
        """Different architectures within the limits: random ones, and children of the best told."""
        options = self._options
        parents = [self._told[row] for row in by_merit(self._points)[: options.parents]]
        found: dict[str, Architecture] = {}
        for _ in range(options.pool):
            if coin(generator, options.random):
                one: Architecture | None = random_architecture(self._space, generator)
            else:
                one = self._child(parents, generator)
            if one is not None and self._unique.fits(one):
                found.setdefault(one.id, one)
        return list(found.values())

    def _child(self, parents: Sequence[Architecture], generator: np.random.Generator) -> Architecture | None:
        child: Architecture | None = pick(parents, generator)
        if coin(generator) and child is not None:
            child = crossed(child, pick(parents, generator), generator)
        for _ in range(1 + int(generator.random() * STEPS)):
            child = None if child is None else mutate(child, self._space, generator)
        return child


def _scalar(expected: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    weighted = expected * weights
    return float(weighted.max() + 0.05 * weighted.sum())


def _rank(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 for the lowest to 1, equal values share their mean rank."""
    from scipy.stats import rankdata

    found: NDArray[np.float64] = (rankdata(column) - 1) / max(1, len(column) - 1)
    return found


def _predicted(
    known: NDArray[np.float32], rank: NDArray[np.float64], wanted: NDArray[np.float32], settings: Mapping[str, int]
) -> NDArray[np.float64]:
    """Mean of the two regressors; the same for the same arguments, in one thread."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import Ridge

    forest = RandomForestRegressor(min_samples_leaf=2, max_features=0.5, n_jobs=1, **settings)
    found = [model.fit(known, rank).predict(wanted) for model in (Ridge(alpha=RIDGE), forest)]
    expected: NDArray[np.float64] = np.mean(found, axis=0)
    return expected
