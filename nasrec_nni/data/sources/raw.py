"""Rows to score as a source reads them: the columns that a model wants, a label only where there is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.errors import UserError, nearest

SHOWN = 40  # columns in a message


@dataclass(frozen=True)
class Wanted:
    """Columns to read.

    Attributes:
        numbers: numeric ones, those that become bins included.
        categories: categorical ones.
        label: of clicks; None if it is not to be looked at.
        weight: of row weights; None if there is none.
        kept: handed through as they are written.
    """

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    label: str | None = None
    weight: str | None = None
    kept: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns without which nothing can be scored."""
        return tuple(dict.fromkeys((*self.numbers, *self.categories, *self.kept)))

    def optional(self, names: Iterable[str]) -> tuple[str | None, str | None]:
        """Label and weight, as far as they are among the names."""
        known = set(names)
        return tuple(name if name in known else None for name in (self.label, self.weight))  # type: ignore[return-value]

    def refuse_absent(self, names: Sequence[str], where: str) -> None:
        """Raise the UserError of the first needed column that is not there."""
        for name in self.needed:
            if name not in names:
                what = "which is to be kept" if name in self.kept else "which the model reads"
                known = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
                raise UserError(f"no column {name!r}, {what}", where=where, allowed=known, hint=nearest(name, names))


@dataclass(frozen=True)
class RawRows:
    """Some consecutive rows of the input, checked; none is left out.

    Attributes:
        rows: `n`.
        numbers: `[n]` float64 per numeric column, NaN for missing.
        categories: `[n]` Arrow array per categorical column, null for missing: text, or of the file's own type.
        label: `[n]` float32, 0 or 1, NaN where the row has none; None if no row has one.
        weight: `[n]` float32, above 0; None if all rows count as one.
        kept: `[n]` Arrow array per column that is handed through.
    """

    rows: int
    numbers: Mapping[str, NDArray[np.float64]]
    categories: Mapping[str, Any]
    label: NDArray[np.float32] | None
    weight: NDArray[np.float32] | None
    kept: Mapping[str, Any]
