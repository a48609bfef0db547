"""Options of the source `table`."""

from __future__ import annotations

from pydantic import Field, field_validator

from nasrec_nni.data.sources.base import SourceOptions
from nasrec_nni.data.sources.roles import REST


class Options(SourceOptions):
    """How the table is read, and which column is what."""

    label: str | None = Field(None, description="column of clicks, 0 or 1; needed")
    numeric: tuple[str, ...] = Field((), description=f"numeric columns; {REST!r} for all not named")
    categorical: tuple[str, ...] = Field((), description=f"categorical columns; {REST!r} for all not named")
    ignore: tuple[str, ...] = Field((), description=f"columns to leave out; {REST!r} for all not named")
    time: str | None = Field(
        None, description="column that orders the rows, for split by_time; a feature only if named as one too"
    )
    weight: str | None = Field(None, description="column of row weights or impression counts, above 0; no feature")
    delimiter: str | None = Field(None, description="one character, or the word tab; detected if not given")
    quotes: bool = Field(True, description="text in double quotes is one field; off: a quote is a letter")
    missing: tuple[str, ...] = Field((), description="words that mean no value, beside the empty field")
    split_column: str | None = Field(None, description="column of train, val, test, for split given")

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value in ("tab", "\\t"):
            return "\t"
        if value is not None and (len(value) != 1 or not value.isascii() or value in '"\r\n\0'):
            raise ValueError("a delimiter is one ASCII character, no quote and no line end, or the word tab")
        return value
