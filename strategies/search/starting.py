"""Starting an algorithm: a plug-in is passed only what the search needs, and refused if it cannot take it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.plugins import registry
from nasrec_nni.strategies.search.interface import Algorithm, Excess, Search
from nasrec_nni.strategies.search.records import Record


def start_search(
    algorithm: str,
    space: SpaceDescription,
    seed: int,
    options: Mapping[str, Any] | None = None,
    budget: int | None = None,
    *,
    objectives: int = 1,
    excess: Excess | None = None,
    earlier: Sequence[Record] = (),
) -> Search:
    """A freshly started search.

    Args:
        algorithm: a plug-in of the group `nasrec_nni.search`.
        space: where to search.
        seed: not negative.
        options: of the algorithm.
        budget: how many candidates will be asked at most.
        objectives: how many it will be told of each candidate.
        excess: of the limits, if there are any.
        earlier: results to start from.

    Raises:
        UserErrors: the plug-in or its options are wrong, or it cannot do what the config asks for.
    """
    start: Algorithm = registry("search").load(algorithm)
    more: dict[str, Any] = {"excess": excess} if excess is not None else {}
    more |= {"earlier": tuple(earlier)} if earlier else {}
    wanted = {"excess": "limits", "earlier": "warm_start"}
    cannot = [wanted[key] for key in more if not _takes(start, key)]
    if cannot:
        raise UserErrors([_refused(algorithm, key) for key in cannot])
    search = start(space, seed, options, budget, **more)
    if objectives > 1 and not _takes(search.tell, "values"):
        raise _refused(algorithm, "objectives")
    return search


def _takes(call: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(call).parameters
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def _refused(algorithm: str, key: str) -> UserError:
    return UserError(
        f"this algorithm takes no {key}",
        value=algorithm,
        where="search.algorithm",
        hint=f"Remove search.{key}, or choose another of `nasrec ls search`",
    )
