"""What must stand in the manifest of a prepared set, checked when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nasrec_nni.errors import UserError
from nasrec_nni.files import read_json

FORMAT = 2
AGAIN = "Prepare the log again"


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _File(_Part):
    bytes: int
    sha256: str


class _Size(_Part):
    rows: int
    clicks: int


class _Splits(_Part):
    train: _Size
    val: _Size
    test: _Size


class _Manifest(_Part):
    format: int
    made: str
    source: str
    command: str | None
    inputs: list[dict[str, Any]]
    options: dict[str, Any]
    versions: dict[str, Any]
    rows: int
    splits: _Splits
    columns: list[dict[str, Any]]
    facts: dict[str, Any]
    notes: list[str]
    warnings: list[str]
    fingerprint: str
    files: dict[str, _File]


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest, whole.

    Raises:
        UserError: it is of another format, or not as `prepare` writes it.
    """
    found = read_json(path)
    known = found.get("format") if isinstance(found, dict) else None
    if known != FORMAT:
        raise UserError(
            "a prepared set of another format", value=known, where=str(path.parent), allowed=str(FORMAT), hint=AGAIN
        )
    try:
        _Manifest.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"][0].lower() + first["msg"][1:]
        raise UserError(f"the manifest was changed: {message}", where=f"{path}: {key}", hint=AGAIN) from None
    return dict(found)
