"""A non-empty subset of at most so many sources, as an NNI mutable and input choice.

NNI's own any-subset choice may be empty, is refused by its path sampling and is invisible in its web page.
Subsets are drawn in two steps, as the method does: a size, uniform on 1..most, then a subset of that size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any

from nni.mutable import LabeledMutable, Mutable, SampleValidationError
from nni.mutable.exception import SampleMissingError
from nni.mutable.mutable import CategoricalMultiple
from nni.nas.nn.pytorch import InputChoice
from numpy.random import RandomState

Sample = dict[str, Any]


class Subset(CategoricalMultiple):  # type: ignore[misc]
    """One dimension whose value is a list of 1..`most` different values, ascending."""

    def __init__(self, values: Iterable[int], most: int, label: str | None = None) -> None:
        super().__init__(values, label=label)
        self.most = min(most, len(self.values))

    def leaf_mutables(self, is_leaf: Callable[[Mutable], bool]) -> Iterable[LabeledMutable]:
        """Itself: never split into one boolean a source."""
        yield self

    def check_contains(self, sample: Sample) -> SampleValidationError | None:
        if self.label not in sample:
            return SampleMissingError(self.label, list(sample))
        value = sample[self.label]
        if not isinstance(value, list) or not value:
            return SampleValidationError(f"{self.label}: a list of at least one source is needed, got {value!r}")
        if len(value) > self.most:
            return SampleValidationError(f"{self.label}: at most {self.most} sources are allowed, got {value!r}")
        parsed = self._parse_simple_format(sample)
        return parsed if isinstance(parsed, SampleValidationError) else None

    def freeze(self, sample: Sample) -> list[int]:
        self.validate(sample)
        return sorted(sample[self.label])

    def default(self, memo: Sample | None = None) -> list[int]:
        """The first source."""
        memo = {} if memo is None else memo
        memo.setdefault(self.label, self.values[:1])
        return self.freeze(memo)

    def random(self, memo: Sample | None = None, random_state: RandomState | None = None) -> list[int]:
        memo = {} if memo is None else memo
        if self.label not in memo:
            state = random_state or RandomState()
            size = state.randint(1, self.most + 1)
            chosen = state.choice(len(self.values), size, replace=False)
            memo[self.label] = sorted(self.values[index] for index in chosen)
        return self.freeze(memo)

    def grid(self, memo: Sample | None = None, granularity: int | None = None) -> Iterable[list[int]]:
        """Every subset, smaller ones first."""
        memo = {} if memo is None else memo
        if self.label in memo:
            yield self.freeze(memo)
            return
        for size in range(1, self.most + 1):
            for chosen in combinations(self.values, size):
                memo[self.label] = list(chosen)
                yield self.freeze(memo)
        del memo[self.label]

    def as_legacy_dict(self) -> dict[str, Any]:
        """What NNI's web page shows: all subsets where they are few, else a sentence."""
        if len(self.values) <= 3:
            return {"_type": "choice", "_value": [list(value) for value in self.grid()]}
        return {"_type": "choice", "_value": [f"1 to {self.most} of the sources {self.values[0]} to {self.values[-1]}"]}


class SubsetChoice(InputChoice):  # type: ignore[misc]
    """An input choice of 1..`n_chosen` inputs. NNI's signature is kept: its frozen path calls it by position."""

    @staticmethod
    def _inner_choice(n_candidates: int, n_chosen: int | None, weights: object, label: str | None) -> Subset:
        return Subset(range(n_candidates), n_chosen or n_candidates, label=label)
