"""The seeded source of paths of a supernet training, and of random architectures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from nasrec_nni.architecture.draw import Counts, random_architecture, stream
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Path
from nasrec_nni.strategies.sampling import warmup
from nasrec_nni.strategies.sampling.distributions import Distribution

Role = Literal["student", "teacher"]


class Drawn(NamedTuple):
    """One path of a step: a student learns from the labels, a teacher also gives targets to the others."""

    path: Path
    role: Role


@dataclass(frozen=True)
class PathSampler:
    """What to train at every optimizer step. A draw depends on (seed, step) only, so resume is exact.

    Args:
        distribution: how a path is drawn.
        space: whose paths.
        counts: distribution of connection counts.
        warmup_steps: optimizer steps over which full paths fade out, 0 for none.
        seed: not negative.
    """

    distribution: Distribution
    space: SpaceDescription
    counts: Counts = "binomial"
    warmup_steps: int = 0
    seed: int = 0

    def draw(self, step: int) -> list[Drawn]:
        """The paths of optimizer step `step`, counted from 0; the four built-in distributions give one."""
        generator = stream(self.seed, "paths", step)
        probability = warmup.full_probability(step, self.warmup_steps) if self.distribution.warms_up else 0.0
        if probability:
            path = warmup.draw(self.distribution, self.space, generator, self.counts, probability)
        else:
            path = self.distribution.draw(self.space, generator, self.counts)
        return [Drawn(path, "student")]


def architectures(space: SpaceDescription, seed: int, n: int, counts: Counts = "uniform") -> list[Architecture]:
    """`n` independent random architectures; the i-th depends on (seed, i) only. Repeats are possible."""
    return [random_architecture(space, stream(seed, "architectures", number), counts) for number in range(n)]
