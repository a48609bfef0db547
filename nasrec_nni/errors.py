"""Errors that are the user's to mend: one clear message, exit status 2, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class UserError(Exception):
    """What was wrong, the value, where, what is allowed, and what to do next.

    Args:
        what: one sentence, without a full stop.
        value: the offending value, shown as written; omitted if None.
        where: `file:line`, a dotted config key, a column or a command-line option.
        allowed: what would have been accepted.
        hint: the next step.
    """

    def __init__(
        self,
        what: str,
        *,
        value: object = None,
        where: str | None = None,
        allowed: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.value = value
        self.where = where
        self.allowed = allowed
        self.hint = hint
        super().__init__(self.message)

    @property
    def message(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.value is not None:
            text += f", got {self.value!r}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.hint:
            text += f". {self.hint}"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process's error is told by this one."""
        return _restored, (type(self), self.__dict__)

    def as_dict(self) -> dict[str, object]:
        """The same, for `--json`."""
        fields = ("what", "where", "allowed", "hint")
        found: dict[str, object] = {name: getattr(self, name) for name in fields if getattr(self, name)}
        if self.value is not None:
            found["value"] = self.value if isinstance(self.value, (str, int, float, bool)) else repr(self.value)
        return found | {"message": self.message}


class UserErrors(UserError):
    """Several mistakes found in one look, told together."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        if not errors:
            raise ValueError("UserErrors needs at least one error")
        self.errors = list(errors)
        super().__init__("\n".join(error.message for error in self.errors))

    def as_dict(self) -> dict[str, object]:
        return {"message": self.message, "errors": [error.as_dict() for error in self.errors]}


def _restored(kind: type[UserError], content: dict[str, Any]) -> UserError:
    error = kind.__new__(kind)
    error.__dict__.update(content)
    error.args = (error.message,)
    return error


def nearest(name: str, known: Iterable[str]) -> str | None:
    """`Did you mean 'x'?` for a misspelt name, or None."""
    match = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {match[0]!r}?" if match else None
