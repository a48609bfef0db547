"""The search space a config asks for, and random architectures of it."""

from __future__ import annotations

from collections.abc import Collection

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.config import SpaceConfig
from nasrec_nni.errors import UserError
from nasrec_nni.plugins import registry
from nasrec_nni.strategies.sampling.sampler import architectures

DRAWS = 100  # tries for each architecture that is wanted


def describe(config: SpaceConfig) -> SpaceDescription:
    """The registered space with the config's sizes and operators.

    Raises:
        UserErrors: a name that is unknown, or sizes that the space does not take.
    """
    space: SpaceDescription = registry("search_spaces").load(config.name)
    return space.with_sizes(**config.model_dump(exclude={"name"}))


def random_architectures(
    space: SpaceDescription, seed: int, count: int, known: Collection[str] = ()
) -> list[Architecture]:
    """Random architectures, different from each other and from those known.

    Args:
        space: theirs.
        seed: of the draws.
        count: how many.
        known: ids that are left out.

    Raises:
        UserError: `DRAWS * count` draws hold too few.
    """
    found: dict[str, Architecture] = {}
    for architecture in architectures(space, seed, count * DRAWS):
        if len(found) == count:
            break
        if architecture.id not in known:
            found.setdefault(architecture.id, architecture)
    if len(found) < count:
        raise UserError(
            "the space is too small for so many different architectures",
            value=count,
            where="retrain.random",
            hint="Ask for fewer random ones, or make the space larger",
        )
    return list(found.values())
