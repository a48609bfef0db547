"""Options of `prepare` that hold for every source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from nasrec_nni.data.sources.base import SourceOptions
from nasrec_nni.data.splits import SplitName
from nasrec_nni.data.transforms import TransformName


class PrepareOptions(SourceOptions):
    """None leaves the choice to the source or to the rule."""

    split: SplitName | None = Field(None, description="rule that makes train, val and test")
    min_count: int | None = Field(None, ge=1, description="fewest training rows of a value with an id of its own")
    seed: int | None = Field(None, ge=0, lt=2**32, description="of the split, and of a synthetic log")
    transform: TransformName | Literal["auto"] | None = Field(None, description="of all numeric columns")


def divide(given: Mapping[str, Any], source: type[SourceOptions]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options for every source, and those for this one; `seed` goes to both where the source has one."""
    common = {key: value for key, value in given.items() if key in PrepareOptions.model_fields}
    own = {key: value for key, value in given.items() if key not in common}
    if given.get("seed") is not None and "seed" in source.model_fields:
        own["seed"] = given["seed"]
    return common, own
