"""Which column is numeric, which a category, which neither, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nasrec_nni.data.sources.base import Columns
from nasrec_nni.data.sources.header import listed, misread
from nasrec_nni.data.sources.times import ISO
from nasrec_nni.data.sources.values import is_text, parsed
from nasrec_nni.errors import UserError, UserErrors, nearest

REST = "*"
EXACT = 2**53  # integers beyond it are not exact as float64
FEW = 10  # distinct integers that still look like a code
PLAIN = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
LEADING_ZERO = r"^[-+]?0\d"
EPOCH = (946_684_800, 4_102_444_800)  # seconds: the years 2000 to 2100
TIME_NAME = re.compile(r"(?i:time|date|stamp|(^|_)(ts|at)$)|[a-z]At$")
THINGS = (
    "user|customer|visitor|item|product|sku|movie|video|song|article|news|ad|advert|advertiser|campaign|creative|banner|"
    "site|app|device|page|query|keyword|session|publisher|category|brand|shop|store|merchant|seller|city|region|country"
)
ID_NAME = re.compile(
    rf"(?i:^({THINGS})$|(^|[^a-z])(id|uid|gid|guid|uuid|code|zip|zipcode|postcode|({THINGS})(id|code))$)"
    r"|[a-z](Id|ID|Code)$"
)
CLICKS = ("click", "label", "clicked", "is_click", "is_clicked", "target", "y", "clk")


def assign(
    names: Sequence[str],
    special: Mapping[str, str],
    given: Mapping[str, Sequence[str]],
    sample: Callable[[], Mapping[str, Any]],
    where: str,
    *,
    time: str | None = None,
) -> tuple[Columns, dict[str, str]]:
    """Roles as given; what nobody named is inferred from the sample.

    Args:
        names: of all columns.
        special: columns that are no feature, with the option that names them (label, weight, split_column); the
            label is first.
        given: names per role, `*` for the rest.
        sample: reads the first rows, called only if something must be inferred.
        where: of the header, for errors.
        time: column of times; a feature too only if it is named as one.

    Returns:
        The columns, and the reasons of those that are ignored.

    Raises:
        UserErrors: a column that is not there, or has two roles.
    """
    errors: list[UserError] = []
    roles: dict[str, str] = {}
    known = set(names)
    for name, option in special.items():
        if name not in known:
            errors.append(_absent(name, option, names, where))
        roles[name] = option
    if time is not None and time not in known:
        errors.append(_absent(time, "time", names, where))
    rest = [role for role, wanted in given.items() if REST in wanted]
    if len(rest) > 1:
        errors.append(UserError(f"{REST!r} stands in two roles", value=", ".join(rest), where=rest[1]))
    for role, wanted in given.items():
        for name in wanted:
            if name == REST:
                continue
            if name not in known:
                errors.append(_absent(name, role, names, where))
            elif roles.get(name, role) != role:
                errors.append(UserError(f"column {name!r} is both {roles[name]} and {role}", where=role))
            roles[name] = role
    if errors:
        raise errors[0] if len(errors) == 1 else UserErrors(errors)
    if time is not None:
        roles.setdefault(time, "time")
    reasons = dict.fromkeys(roles, "as asked for")
    unnamed = [name for name in names if name not in roles]
    if unnamed and rest:
        roles |= dict.fromkeys(unnamed, rest[0])
        reasons |= dict.fromkeys(unnamed, "as asked for")
    elif unnamed:
        columns = sample()
        for name in unnamed:
            roles[name], reasons[name] = infer(columns[name], name)

    def having(role: str) -> dict[str, str]:
        return {name: reasons[name] for name in names if roles[name] == role}

    ignored = having("ignore") | having("split_column")
    weight = next((name for name, option in special.items() if option == "weight"), None)
    label = next(iter(special))
    return Columns(label, having("numeric"), having("categorical"), tuple(ignored), time, weight), having("ignore")


def refuse_no_label(names: Sequence[str], where: str) -> None:
    """Raise the UserError of a table whose label nobody named, with the columns that may be it."""
    likely = [name for word in CLICKS for name in names if name.strip().lower() == word]
    raise UserError(
        "which column says whether there was a click?",
        where=where,
        allowed=listed(names),
        hint=f"Likely --label {likely[0]}" if likely else "Give it: --label COLUMN",
    )


def _absent(name: str, option: str, names: Sequence[str], where: str) -> UserError:
    hint = nearest(name, names) or misread(names)
    return UserError(f"no column {name!r}, which {option} names", where=where, allowed=listed(names), hint=hint)


def infer(column: Any, name: str = "") -> tuple[str, str]:
    """Role and reason of one column: an integer is a number only if it looks like a quantity.

    Args:
        column: strings of a text file; of Parquet its numbers, times and so on, and texts as a dictionary.
        name: of the column; it tells seconds since 1970 from other long integers.
    """
    kind = column.type
    present = column.drop_null()
    if pa.types.is_floating(kind):
        present = present.filter(pc.invert(pc.is_nan(present)))
    if not len(present):
        return "categorical", "no value in the first rows"
    if pa.types.is_temporal(kind):
        return "ignore", "a time; --time uses it for a split by time"
    if pa.types.is_boolean(kind):
        return "categorical", "true or false"
    if pa.types.is_nested(kind):
        return "categorical", "neither a number nor a text"
    typed = pa.types.is_dictionary(kind) and is_text(kind)
    return _of_text(pc.utf8_trim_whitespace(pc.cast(present, pa.string())), typed, name)


def _of_text(present: Any, typed: bool, name: str) -> tuple[str, str]:
    odd = present.filter(pc.invert(pc.match_substring_regex(present, PLAIN)))
    if len(odd):
        if pc.all(pc.match_substring_regex(present, ISO)).as_py():
            return "ignore", f"{present[0].as_py()!r} is a time; --time uses it for a split by time"
        return "categorical", f"{odd[0].as_py()[:100]!r} is not a number"
    if typed:
        return "categorical", "a text column"
    padded = present.filter(pc.match_substring_regex(present, LEADING_ZERO))
    if len(padded):
        return "categorical", f"{padded[0].as_py()!r} has a leading zero"
    if pc.any(pc.match_substring_regex(present, r"[.eE]")).as_py():
        return "numeric", "numbers with a fraction"
    values = parsed(present)
    since = values.min() / EPOCH[0], values.max() / EPOCH[1]
    if TIME_NAME.search(name) and any(since[0] >= unit and since[1] <= unit for unit in (1, 1e3, 1e6, 1e9)):
        return "ignore", f"{present[0].as_py()} looks like a time since 1970; --time uses it for a split by time"
    if np.abs(values).max() >= EXACT:
        return "categorical", "integers too long for a quantity"
    distinct = len(np.unique(values))
    if distinct == 1:
        return "categorical", "the same integer in every row"
    if distinct < FEW:
        return "categorical", f"only {distinct} different integers, which looks like a code"
    if distinct == len(values):
        return "categorical", "a different integer in every row, which looks like an identifier"
    if ID_NAME.search(name):
        return "categorical", f"integers, and the name {name!r} says that they identify something"
    if values.min() > values.max() - values.min():
        return "categorical", f"integers from {values.min():.0f} to {values.max():.0f}, which looks like a code"
    return "numeric", f"integers from {values.min():.0f} to {values.max():.0f}, which looks like a quantity"
