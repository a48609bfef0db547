"""Ask/tell: one search algorithm behind several doors (in process, NNI strategy, NNI tuner).

The sequence of candidates is a function of the seed, the values told and how many are asked before
the first is told. So an algorithm has no clock, no global generator and no file of its own: its
state after a stop is rebuilt by asking and telling again (`replay`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError, UserErrors, nearest


class Search(Protocol):
    """A running search."""

    def ask(self) -> Architecture | None:
        """The next candidate, with an id never asked before; None for ever once the space is exhausted."""

    def tell(self, architecture: Architecture, value: float | None, failure: str | None = None) -> None:
        """The result of the earliest candidate not yet told.

        Args:
            architecture: as asked.
            value: lower is better, finite; None if it failed.
            failure: why it failed.
        """


class Algorithm(Protocol):
    """What a plug-in of the group `nasrec_nni.search` is: usually a class."""

    def __call__(
        self, space: SpaceDescription, seed: int, options: Mapping[str, Any] | None = None, budget: int | None = None
    ) -> Search:
        """Start a search.

        Args:
            space: where to search.
            seed: not negative.
            options: of the algorithm, as in `search.options`; unknown ones are refused.
            budget: how many candidates will be asked at most, for algorithms that change with progress.

        Raises:
            UserErrors: every option that is unknown or out of range.
        """


class Options(BaseModel):
    """Base of an algorithm's options: frozen, strict about keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


O = TypeVar("O", bound=Options)  # noqa: E741


def parse_options(model: type[O], given: Mapping[str, Any] | None, where: str = "search.options") -> O:
    """Typed options from plain values.

    Raises:
        UserErrors: every mistake with its key.
    """
    try:
        return model.model_validate(dict(given or {}))
    except ValidationError as error:
        raise UserErrors(
            [_as_user_error(detail, list(model.model_fields), where) for detail in error.errors()]
        ) from None


def _as_user_error(detail: Any, known: list[str], where: str) -> UserError:
    key = ".".join(str(part) for part in detail["loc"])
    place = f"{where}.{key}" if key else where
    if detail["type"] == "extra_forbidden":
        return UserError("unknown option", where=place, allowed=", ".join(known) or "none", hint=nearest(key, known))
    message = str(detail["msg"]).removeprefix("Value error, ")
    value = None if isinstance(detail["input"], dict) else detail["input"]
    return UserError(message[0].lower() + message[1:], value=value, where=place)
