"""The one door through which every log comes in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from nasrec_nni.data.sources.raw import RawRows, Wanted
from nasrec_nni.data.split_names import SPLITS, SplitName
from nasrec_nni.data.transforms import TransformName
from nasrec_nni.errors import UserError, UserErrors, nearest


@dataclass
class Meter:
    """How far a pass over the files is, in bytes at rest; read by a progress bar.

    Attributes:
        total: of all files; 0 while unknown.
        done: read in this pass; runs ahead of the rows by a few blocks.
    """

    total: int = 0
    done: int = 0


class SourceOptions(BaseModel):
    """Options of a source; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Columns:
    """Roles of a log's columns.

    Attributes:
        label: name of the label column.
        dense: numeric columns and the reason of each.
        sparse: categorical columns and the reason of each; a cell of a multi-valued one is its unsplit text.
        ignored: columns left out.
        time: column that orders the rows for a split by time, a feature only if `dense` or `sparse` has it too; None if
            the log has none or nobody named it.
        weight: column of row weights, no feature; None if there is none.
    """

    label: str
    dense: Mapping[str, str]
    sparse: Mapping[str, str]
    ignored: tuple[str, ...] = ()
    time: str | None = None
    weight: str | None = None


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows, checked.

    Attributes:
        label: `[n]` float32, 0 or 1.
        dense: `[n]` float64 per numeric column, NaN for missing, otherwise within what float32 can hold.
        sparse: an Arrow array per categorical column, string or dictionary<int32, string>, null for missing.
        part: `[n]` int8, index into `splits.SPLITS`, where the log itself says the split.
        probability: `[n]` planted click probabilities, where they are known.
        time: `[n]` float64, never NaN, if and only if `Columns.time` is named; only its order has a meaning.
        weight: `[n]` float32, finite and above 0, if and only if `Columns.weight` is named.
    """

    label: NDArray[np.float32]
    dense: Mapping[str, NDArray[np.float64]]
    sparse: Mapping[str, Any]
    part: NDArray[np.int8] | None = None
    probability: NDArray[np.float64] | None = None
    time: NDArray[np.float64] | None = None
    weight: NDArray[np.float32] | None = None


@dataclass
class LogSource(ABC):
    """A log at rest: its roles first, then its rows, as often as asked for.

    Attributes:
        inputs: files or folders, in order.
        options: an instance of `Options`.
        split: the rule by name; a source may have to read the log accordingly.
        notes: what the source found out for itself, for people to read.
        warnings: what is doubtful about the rows, known when all have been read.
        meter: how far the pass is.

    Class attributes: `default_hash_rows` is the authors' `n_f` per field for encoding `hash_mod`; `decimal_first`
    says that `hash_mod` reads a value as a decimal number before it tries hexadecimal.
    """

    Options: ClassVar[type[SourceOptions]] = SourceOptions
    default_split: ClassVar[SplitName] = "random"
    default_min_count: ClassVar[int] = 2
    transform: ClassVar[TransformName | None] = None  # None: chosen by the training values
    default_hash_rows: ClassVar[Mapping[str, int]] = {}
    decimal_first: ClassVar[bool] = True

    inputs: Sequence[Path]
    options: Any
    split: str = "random"
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    meter: Meter = field(default_factory=Meter)

    @abstractmethod
    def columns(self) -> Columns:
        """Roles. Raises UserError for what can be seen without reading everything."""

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """All rows in order. Raises UserError with file:line at the first bad one."""

    def raw_rows(self, wanted: Wanted) -> Iterator[RawRows]:
        """All rows in order to be scored, none left out. The roles of columns are the model's, `columns` is not asked.

        As it stands here it reads what `chunks` gives: a log with clicks, of which no column is handed through.

        Raises:
            UserError: a column that is needed is not there, or a bad row.
        """
        if wanted.kept:
            raise UserError("this source hands no column through", value=", ".join(wanted.kept), where="--id")
        columns = self.columns()
        wanted.refuse_absent([*columns.dense, *columns.sparse], ", ".join(map(str, self.inputs)))
        for chunk in self.chunks():
            numbers = {name: chunk.dense[name] for name in wanted.numbers}
            categories = {name: chunk.sparse[name] for name in wanted.categories}
            weight = None if wanted.weight is None else chunk.weight
            label = None if wanted.label is None else chunk.label
            yield RawRows(len(chunk.label), numbers, categories, label, weight, {})

    def parts(self) -> list[int | None]:
        """Per input: its index into `SPLITS` under the rule `given`, else None.

        Raises:
            UserError: `given` without exactly three inputs.
        """
        if self.split != "given":
            return [None] * len(self.inputs)
        if len(self.inputs) != len(SPLITS):
            raise UserError(
                "split 'given' takes three inputs: train, val, test", value=f"{len(self.inputs)} inputs", where="split"
            )
        return list(range(len(SPLITS)))

    @property
    def missing_words(self) -> tuple[str, ...]:
        """Words that mean no value, beside the empty field."""
        return ()

    @property
    def kinds(self) -> Mapping[str, str]:
        """Arrow types of columns that do not come as text, by name."""
        return {}

    def rows_expected(self, rows: int) -> int | None:
        """About how many rows the log has, or None while nothing can be said.

        Args:
            rows: read in this pass so far.
        """
        if not rows or not self.meter.done or not self.meter.total:
            return None
        return max(rows, round(rows * self.meter.total / self.meter.done))

    @staticmethod
    def whole_part(part: int | None, rows: int) -> NDArray[np.int8] | None:
        """`[rows]` of one part, or None for no part."""
        return None if part is None else np.full(rows, part, np.int8)

    @staticmethod
    def refuse_empty(path: Path, rows: int) -> None:
        """Raises UserError for a file without data rows."""
        if not rows:
            raise UserError("no rows in this file", where=str(path), hint="Name a file with rows, or leave it out")

    def only_input(self, what: str) -> Path:
        """The one input. Raises UserError for none or several."""
        if len(self.inputs) != 1:
            raise UserError(f"this source takes {what}", value=f"{len(self.inputs)} inputs", where="inputs")
        return self.inputs[0]


def checked(options: type[SourceOptions], given: Mapping[str, Any], where: str, others: Sequence[str] = ()) -> Any:
    """An instance of an options model.

    Args:
        options: the model.
        given: values by name.
        where: who has these options, for errors.
        others: names that are options elsewhere, for the hint at a misspelt one.

    Raises:
        UserErrors: one for each bad option.
    """
    try:
        return options(**given)
    except ValidationError as error:
        names = [*options.model_fields, *others]
        found = [one for one in error.errors() if _fits(one["loc"], given)] or error.errors()
        told = {(key := _key(one["loc"], given), one["msg"]): _told(one, key, names, where) for one in found}
        raise UserErrors(list(told.values())) from None


def _fits(loc: tuple[Any, ...], given: Mapping[str, Any]) -> bool:
    """Whether an error is of the branch of a union that the value belongs to: one for all columns, or a mapping."""
    value = given.get(str(loc[0]))
    if len(loc) < 2 or not isinstance(loc[1], str) or (isinstance(value, Mapping) and loc[1] in value):
        return True
    return loc[1].startswith("dict[") == isinstance(value, Mapping)


def _key(loc: tuple[Any, ...], given: Mapping[str, Any]) -> str:
    """Option and column, without pydantic's names of branches."""
    value = given.get(str(loc[0]))
    columns = value if isinstance(value, Mapping) else {}
    return ".".join(str(part) for at, part in enumerate(loc) if not at or isinstance(part, int) or part in columns)


def _told(error: Any, key: str, names: list[str], where: str) -> UserError:
    if error["type"] == "extra_forbidden":
        return UserError(
            f"{where} has no option {key!r}", where=key, allowed=", ".join(names) or "none", hint=nearest(key, names)
        )
    if error["type"] == "missing":
        return UserError(f"{where} needs option {key!r}", where=key)
    return UserError(error["msg"], value=error.get("input"), where=key)
