"""Which path a supernet trains at every step: distributions, warm-up, seeded sampler."""

from __future__ import annotations

from nasrec_nni.architecture.draw import Counts, random_architecture
from nasrec_nni.strategies.sampling.distributions import (
    ANY_OPERATOR_ANY_CONNECTION,
    FULL,
    SINGLE_OPERATOR_ANY_CONNECTION,
    SINGLE_OPERATOR_SINGLE_CONNECTION,
    Distribution,
)
from nasrec_nni.strategies.sampling.sampler import Drawn, PathSampler, Role, architectures
from nasrec_nni.strategies.sampling.warmup import full_probability

__all__ = [
    "ANY_OPERATOR_ANY_CONNECTION",
    "FULL",
    "SINGLE_OPERATOR_ANY_CONNECTION",
    "SINGLE_OPERATOR_SINGLE_CONNECTION",
    "Counts",
    "Distribution",
    "Drawn",
    "PathSampler",
    "Role",
    "architectures",
    "full_probability",
    "random_architecture",
]
