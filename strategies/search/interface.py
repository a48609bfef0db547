"""Ask/tell: one search algorithm behind several doors (in process, NNI strategy, NNI tuner).

The sequence of candidates is a function of the seed, the values told and how many are asked before
the first is told. So an algorithm has no clock, no global generator and no file of its own: its
state after a stop is rebuilt by asking and telling again (`replay`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError, UserErrors, nearest
from nasrec_nni.strategies.search.records import Record

# How far an architecture is beyond the limits of a search: 0 within all of them.
Excess = Callable[[Architecture], float]


class Search(Protocol):
    """A running search."""

    def ask(self) -> Architecture | None:
        """The next candidate, with an id never asked before; None for ever once the space is exhausted."""

    def tell(
        self,
        architecture: Architecture,
        value: float | None,
        failure: str | None = None,
        values: tuple[float, ...] | None = None,
    ) -> None:
        """The result of the earliest candidate not yet told.

        Args:
            architecture: as asked.
            value: lower is better, finite; None if it failed.
            failure: why it failed.
            values: all objectives, the first is `value`; passed only by a search that has several, so an
                algorithm that takes no such argument is refused there and works elsewhere.
        """


class Algorithm(Protocol):
    """What a plug-in of the group `nasrec_nni.search` is: usually a class."""

    def __call__(
        self,
        space: SpaceDescription,
        seed: int,
        options: Mapping[str, Any] | None = None,
        budget: int | None = None,
        *,
        excess: Excess | None = None,
        earlier: Sequence[Record] = (),
    ) -> Search:
        """Start a search.

        Args:
            space: where to search.
            seed: not negative.
            options: of the algorithm, as in `search.options`; unknown ones are refused.
            budget: how many candidates will be asked at most, for algorithms that change with progress.
            excess: of the limits; nothing with an excess above 0 may be asked. Passed only if there are limits.
            earlier: results of another search, all different, to start from; none of them may be asked. Passed
                only if there are some.

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
