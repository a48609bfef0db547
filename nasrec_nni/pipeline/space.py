"""The search space a config asks for."""

from __future__ import annotations

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.config import SpaceConfig
from nasrec_nni.plugins import registry


def describe(config: SpaceConfig) -> SpaceDescription:
    """The registered space with the config's sizes and operators.

    Raises:
        UserErrors: a name that is unknown, or sizes that the space does not take.
    """
    space: SpaceDescription = registry("search_spaces").load(config.name)
    return space.with_sizes(**config.model_dump(exclude={"name"}))
