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

from nasrec_nni.data.splits import SPLITS, SplitName
from nasrec_nni.data.transforms import TransformName
from nasrec_nni.errors import UserError, UserErrors, nearest


class SourceOptions(BaseModel):
    """Options of a source; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Columns:
    """Roles of a log's columns.

    Attributes:
        label: name of the label column.
        dense: numeric columns and the reason of each.
        sparse: categorical columns and the reason of each.
        ignored: columns left out.
    """

    label: str
    dense: Mapping[str, str]
    sparse: Mapping[str, str]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows, checked.

    Attributes:
        label: `[n]` float32, 0 or 1.
        dense: `[n]` float64 per numeric column, NaN for missing, otherwise finite.
        sparse: an Arrow string array per categorical column, null for missing.
        part: `[n]` int8, index into `splits.SPLITS`, where the log itself says the split.
        probability: `[n]` planted click probabilities, where they are known.
    """

    label: NDArray[np.float32]
    dense: Mapping[str, NDArray[np.float64]]
    sparse: Mapping[str, Any]
    part: NDArray[np.int8] | None = None
    probability: NDArray[np.float64] | None = None


@dataclass
class LogSource(ABC):
    """A log at rest: its roles first, then its rows, as often as asked for.

    Attributes:
        inputs: files or folders, in order.
        options: an instance of `Options`.
        split: the rule by name; a source may have to read the log accordingly.
        notes: what the source found out for itself, for people to read.
        warnings: what is doubtful about the rows, known when all have been read.
    """

    Options: ClassVar[type[SourceOptions]] = SourceOptions
    default_split: ClassVar[SplitName] = "random"
    default_min_count: ClassVar[int] = 2
    transform: ClassVar[TransformName | None] = None  # None: chosen by the training values

    inputs: Sequence[Path]
    options: Any
    split: str = "random"
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @abstractmethod
    def columns(self) -> Columns:
        """Roles. Raises UserError for what can be seen without reading everything."""

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """All rows in order. Raises UserError with file:line at the first bad one."""

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
        raise UserErrors([_told(one, names, where) for one in error.errors()]) from None


def _told(error: Any, names: list[str], where: str) -> UserError:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return UserError(
            f"{where} has no option {key!r}", where=key, allowed=", ".join(names) or "none", hint=nearest(key, names)
        )
    if error["type"] == "missing":
        return UserError(f"{where} needs option {key!r}", where=key)
    return UserError(error["msg"], value=error.get("input"), where=key)
