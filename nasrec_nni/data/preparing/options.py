"""Options of `prepare` that hold for every source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field

from nasrec_nni.data.schema import EncodingName
from nasrec_nni.data.sources.base import SourceOptions
from nasrec_nni.data.split_names import SplitName
from nasrec_nni.data.transforms import TransformName
from nasrec_nni.errors import UserError, nearest

REST = "*"  # the columns that a mapping does not name
T = TypeVar("T")
Count = Annotated[int, Field(ge=1)]
Rows = Annotated[int, Field(ge=3, le=2**28)]  # counting them takes 16 bytes a row
Separator = Annotated[str, Field(min_length=1)]


class PrepareOptions(SourceOptions):
    """None leaves the choice to the source or to the rule; a mapping says it per column, `*` for the rest."""

    split: SplitName | None = Field(None, description="rule that makes train, val and test")
    seed: int | None = Field(None, ge=0, lt=2**32, description="of split and negative sampling, and of a synthetic log")
    folds: int = Field(5, ge=3, le=127, description="split k_fold: stratified parts")
    fold: int = Field(0, ge=0, description="split k_fold: the part that is test; the next one is val")
    first_line_slip: bool = Field(
        False, description="split nasrec: as the authors' files, which put every row into its predecessor's fold"
    )
    transform: TransformName | dict[str, TransformName] | None = Field(
        None, description="of numeric columns: auto, log1p, standardize, identity, quantile, log2_bins"
    )
    encoding: EncodingName | dict[str, EncodingName] | None = Field(
        None, description="of categorical columns: vocabulary, hash_mod, hash"
    )
    min_count: Count | dict[str, Count] | None = Field(
        None, description="fewest training rows of a value with an id of its own"
    )
    hash_rows: Rows | dict[str, Rows] | None = Field(None, description="table rows of a hashed column")
    separator: dict[str, Separator] = Field(
        default_factory=dict, description="makes a column multi-valued: what stands between its values"
    )
    max_length: Count | dict[str, Count] | None = Field(
        None, description="most values of a multi-valued cell that are kept (16)"
    )
    negatives: float | None = Field(
        None, gt=0, le=1, description="share of training rows without a click to train on, drawn by the seed"
    )


def per_column(option: Any, name: str, default: T) -> T:
    """What an option says for one column."""
    found: T | None = option.get(name, option.get(REST)) if isinstance(option, dict) else option
    return default if found is None else found


def check_use(settings: PrepareOptions, split: str) -> None:
    """Raises UserError for an option that would have no effect, or a fold that is not there."""
    owners = {"first_line_slip": "nasrec", "folds": "k_fold", "fold": "k_fold"}
    for option, owner in owners.items():
        if option in settings.model_fields_set and split != owner and getattr(settings, option) is not False:
            raise UserError(f"{option} belongs to split {owner!r}", value=split, where=option)
    if split == "k_fold" and settings.fold >= settings.folds:
        raise UserError(
            "there is no such fold", value=settings.fold, where="fold", allowed=f"0 to {settings.folds - 1}"
        )
    encodings = settings.encoding.values() if isinstance(settings.encoding, dict) else [settings.encoding]
    if settings.hash_rows and not {"hash_mod", "hash"} & set(encodings):
        raise UserError("hash_rows has no effect: no column is hashed", where="hash_rows", hint="Give --encoding hash")
    if settings.max_length is not None and not settings.separator:
        raise UserError(
            "max_length has no effect: no column has a separator", where="max_length", hint="Give --separator"
        )


def check_names(settings: PrepareOptions, dense: Iterable[str], sparse: Iterable[str]) -> None:
    """Raises UserError for an option that names a column that is not there, or of the wrong kind."""
    numeric, categorical = list(dense), list(sparse)
    kinds = {"transform": ("numeric", numeric)}
    kinds |= dict.fromkeys(
        ("encoding", "min_count", "hash_rows", "separator", "max_length"), ("categorical", categorical)
    )
    for option, (kind, names) in kinds.items():
        value = getattr(settings, option)
        for name in value if isinstance(value, Mapping) else ():
            if name not in names and name != REST:
                raise UserError(
                    f"{option} names a column that is not {kind}",
                    value=name,
                    where=option,
                    allowed=", ".join(names) or f"no column is {kind}",
                    hint=nearest(name, names),
                )
    for name in settings.max_length if isinstance(settings.max_length, dict) else ():
        if name != REST and name not in settings.separator:
            raise UserError("max_length names a column without a separator", value=name, where="max_length")


def divide(given: Mapping[str, Any], source: type[SourceOptions]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options for every source, and those for this one; `seed` goes to both where the source has one."""
    common = {key: value for key, value in given.items() if key in PrepareOptions.model_fields}
    own = {key: value for key, value in given.items() if key not in common}
    if given.get("seed") is not None and "seed" in source.model_fields:
        own["seed"] = given["seed"]
    return common, own
