"""The method's one-shot strategies as NNI `OneShotStrategy` classes.

They run with NNI's own Lightning evaluator. All draw whole paths from one seeded generator, so that a draw is
a function of (seed, optimizer step): validation, tracing and resuming do not shift it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from nni.nas.evaluator.pytorch import LightningModule
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy, no_default_hook

from nasrec_nni.plugins import registry
from nasrec_nni.search_spaces.block import SuperBlock
from nasrec_nni.strategies.one_shot.module import PathModule
from nasrec_nni.strategies.sampling.sampler import PathSampler


class PathStrategy(OneShotStrategy):  # type: ignore[misc]
    """Trains a supernet along drawn paths.

    Args:
        distribution: a registered one-shot plug-in; the class's own if `None`.
        counts: distribution of the number of connections.
        warmup_steps: optimizer steps over which full paths fade out, 0 for none.
        seed: of the draws.
        validation_paths: how many fixed architectures are scored in validation.
        mutation_hooks: NNI's, placed before ours.
    """

    name: ClassVar[str] = "single-operator-any-connection"

    def __init__(
        self,
        distribution: str | None = None,
        counts: Literal["binomial", "uniform"] = "binomial",
        warmup_steps: int = 0,
        seed: int = 0,
        validation_paths: int = 4,
        mutation_hooks: list[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(mutation_hooks, **kwargs)
        self.distribution = registry("one_shot").load(distribution or self.name)
        self.counts: Literal["binomial", "uniform"] = counts
        self.warmup_steps = warmup_steps
        self.seed = seed
        self.validation_paths = validation_paths

    def default_mutation_hooks(self) -> list[Any]:
        return [SuperBlock.mutate, no_default_hook]

    def configure_oneshot_module(self, training_module: LightningModule) -> PathModule:
        return PathModule(training_module, self._sampler, self.validation_paths, self.seed)

    def _sampler(self, space: Any) -> PathSampler:
        return PathSampler(self.distribution, space, self.counts, self.warmup_steps, self.seed)


class SingleOperatorAnyConnection(PathStrategy):
    """The method: one operator a side, any bounded subset of sources."""


class SingleOperatorSingleConnection(PathStrategy):
    """One operator a side, one source a list."""

    name = "single-operator-single-connection"


class AnyOperatorAnyConnection(PathStrategy):
    """Any subset of operators a side (outputs added), any bounded subset of sources."""

    name = "any-operator-any-connection"


class Full(PathStrategy):
    """Every operator and connection, at the largest sizes, in every step."""

    name = "full"
