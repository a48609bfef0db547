"""Which column is numeric, which a category, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nasrec_nni.data.sources.base import Columns
from nasrec_nni.errors import UserError, UserErrors, nearest

REST = "*"
EXACT = 2**53  # integers beyond it are not exact as float64
FEW = 10  # distinct integers that still look like a code
PLAIN = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
LEADING_ZERO = r"^[-+]?0\d"


def assign(
    names: Sequence[str],
    special: Mapping[str, str],
    given: Mapping[str, Sequence[str]],
    sample: Callable[[], Mapping[str, Any]],
    where: str,
) -> Columns:
    """Roles as given; what nobody named is inferred from the sample.

    Args:
        names: of all columns.
        special: columns that are no feature (label, split), with the option that names them; the label is first.
        given: names per role, `*` for the rest.
        sample: reads strings of the first rows, called only if something must be inferred.
        where: of the header, for errors.

    Raises:
        UserErrors: a column that is not there, or has two roles.
    """
    errors: list[UserError] = []
    roles: dict[str, str] = {}
    for name, option in special.items():
        if name not in names:
            errors.append(_absent(name, option, names, where))
        roles[name] = option
    rest = [role for role, listed in given.items() if REST in listed]
    if len(rest) > 1:
        errors.append(UserError(f"{REST!r} stands in two roles", value=", ".join(rest), where=rest[1]))
    for role, listed in given.items():
        for name in listed:
            if name == REST:
                continue
            if name not in names:
                errors.append(_absent(name, role, names, where))
            elif roles.get(name, role) != role:
                errors.append(UserError(f"column {name!r} is both {roles[name]} and {role}", where=role))
            roles[name] = role
    if errors:
        raise errors[0] if len(errors) == 1 else UserErrors(errors)
    reasons = dict.fromkeys(roles, "as asked for")
    unnamed = [name for name in names if name not in roles]
    if unnamed and rest:
        roles |= dict.fromkeys(unnamed, rest[0])
        reasons |= dict.fromkeys(unnamed, "as asked for")
    elif unnamed:
        columns = sample()
        for name in unnamed:
            roles[name], reasons[name] = infer(columns[name])

    def having(role: str) -> dict[str, str]:
        return {name: reasons[name] for name in names if roles[name] == role}

    ignored = tuple(name for name in names if roles[name] in ("ignore", "split_column"))
    return Columns(next(iter(special)), having("numeric"), having("categorical"), ignored)


def _absent(name: str, option: str, names: Sequence[str], where: str) -> UserError:
    return UserError(
        f"no column {name!r}, which {option} names", where=where, allowed=", ".join(names), hint=nearest(name, names)
    )


def infer(column: Any) -> tuple[str, str]:
    """Role and reason of one column of strings: an integer is a number only if it looks like a quantity."""
    present = column.drop_null()
    if not len(present):
        return "categorical", "no value in the first rows"
    odd = present.filter(pc.invert(pc.match_substring_regex(present, PLAIN)))
    if len(odd):
        return "categorical", f"{odd[0].as_py()!r} is not a number"
    padded = present.filter(pc.match_substring_regex(present, LEADING_ZERO))
    if len(padded):
        return "categorical", f"{padded[0].as_py()!r} has a leading zero"
    if pc.any(pc.match_substring_regex(present, r"[.eE]")).as_py():
        return "numeric", "numbers with a fraction"
    values = pc.cast(present, pa.float64()).to_numpy()
    if np.abs(values).max() >= EXACT:
        return "categorical", "integers too long for a quantity"
    distinct = len(np.unique(values))
    if distinct == 1:
        return "categorical", "the same integer in every row"
    if distinct < FEW:
        return "categorical", f"only {distinct} different integers, which looks like a code"
    if distinct == len(values):
        return "categorical", "a different integer in every row, which looks like an identifier"
    if values.min() > values.max() - values.min():
        return "categorical", f"integers from {values.min():.0f} to {values.max():.0f}, which looks like a code"
    return "numeric", f"integers from {values.min():.0f} to {values.max():.0f}, which looks like a quantity"
