"""Typed option fields as flags: one value, a list of names, yes or no, or a value per column."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from nasrec_nni.errors import UserError

REST = "*"  # stands for all columns that have no value of their own
MAY_HOLD_EQUALS = ("separator",)  # values in which `=` can be meant


def add_flag(parser: argparse._ActionsContainer, name: str, owners: Mapping[str, FieldInfo]) -> None:
    """Declare the flag of one option.

    Args:
        parser: or a group of it.
        name: of the option.
        owners: its field by the source that has it; the empty name stands for every source.
    """
    fields = list(owners.values())
    flag = _flag(name)
    told = _told(owners).replace("%", "%%")
    switches = {is_switch(field) for field in fields}
    if switches == {True}:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=told)
        return
    if switches == {True, False}:  # a switch of one source, a value of another
        parser.add_argument(flag, metavar="VALUE", nargs="?", const=True, action="append", help=told)
        return
    shapes = {_shape(field) for field in fields}
    # all of them gather: whether several are too many is the field's to say, and sources may differ in it
    parser.add_argument(flag, metavar=shapes.pop() if len(shapes) == 1 else "VALUE", action="append", help=told)


def _told(owners: Mapping[str, FieldInfo]) -> str:
    """Descriptions with the sources that they are of, and the names that the values may be."""
    texts: dict[str, list[str]] = {}
    for source, field in owners.items():
        told = field.description or ""
        names = ", ".join(_words(field.annotation))
        texts.setdefault(f"{told}: {names}" if names and names not in told else told, []).append(source)
    return "; ".join(f"{told} ({', '.join(of)})" if any(of) else told for told, of in texts.items())


def _shape(field: FieldInfo) -> str:
    if is_per_column(field):
        return "[COLUMN=]VALUE" if _for_all(field) else "COLUMN=VALUE"
    return "NAME,NAME" if is_list(field) else "VALUE"


def value_of(name: str, field: FieldInfo, given: Any) -> Any:
    """What a flag was given, as the field takes it.

    Args:
        name: of the option.
        field: of the chosen source.
        given: what argparse has: True or False of a switch, else a list of words, with True for a flag without one.

    Raises:
        UserError: several values where one is meant, two for one column, or none that names its column.
    """
    if isinstance(given, bool):
        return given
    if True in given and not is_switch(field):
        raise UserError("expected one argument", where=_flag(name))
    if is_per_column(field):
        return _by_column(name, field, given)
    if is_list(field):
        return [one for text in given for one in text.split(",")]
    if len(given) > 1:
        raise UserError("takes one value", value=" and ".join(given), where=_flag(name))
    return given[0]


def over(before: Any, value: Any) -> Any:
    """A value laid over an earlier one: column by column if it is said per column."""
    if not isinstance(value, Mapping) or before is None:
        return value
    return {**(before if isinstance(before, Mapping) else {REST: before}), **value}


def words_of(name: str, given: Any) -> list[str]:
    """The flag as a person would type it."""
    flag = _flag(name)
    if isinstance(given, bool):
        return [flag if given else flag.replace("--", "--no-", 1)]
    return [word for text in given for word in _pair(flag, text)]


def _pair(flag: str, text: str | bool) -> tuple[str, ...]:
    if isinstance(text, bool):
        return (flag,)
    return (f"{flag}={text}",) if text.startswith("-") else (flag, text)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def is_switch(field: FieldInfo) -> bool:
    """Yes or no."""
    return bool in (field.annotation, *get_args(field.annotation))


def is_list(field: FieldInfo) -> bool:
    """Several names."""
    return any(get_origin(one) in (tuple, list) or one in (tuple, list) for one in _alternatives(field.annotation))


def is_per_column(field: FieldInfo) -> bool:
    """A value per column is possible."""
    return any(_is_mapping(one) for one in _alternatives(field.annotation))


def _for_all(field: FieldInfo) -> bool:
    """One value for all columns is possible."""
    return any(not _is_mapping(one) and one is not type(None) for one in _alternatives(field.annotation))


def _is_mapping(kind: Any) -> bool:
    found = get_origin(kind) or kind
    return isinstance(found, type) and issubclass(found, Mapping)


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Members of a union, nested ones too; what is annotated, without its annotation."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (None, Literal, tuple, list) or _is_mapping(annotation):
        yield annotation
    else:
        for member in get_args(annotation):
            yield from _alternatives(member)


def _words(annotation: Any) -> list[str]:
    """Names that a field takes, of its values per column too."""
    found: list[str] = []
    for one in _alternatives(annotation):
        if get_origin(one) is Literal:
            found += [str(word) for word in get_args(one)]
        elif _is_mapping(one) and get_args(one):
            found += _words(get_args(one)[1])
    return list(dict.fromkeys(found))


def _by_column(name: str, field: FieldInfo, given: Sequence[str]) -> Any:
    """`VALUE` and `COLUMN=VALUE`, in any order and number, to one value or a mapping."""
    flag = _flag(name)
    found: dict[str, str] = {}
    for text in given:
        if name in MAY_HOLD_EQUALS:
            column, equals, value = text.partition("=")
        else:
            column, equals, value = text.rpartition("=")
        if not equals:
            if not _for_all(field):
                raise UserError("name the column", value=text, where=flag, allowed="COLUMN=VALUE")
            column, value = REST, text
        elif not column:
            raise UserError("names no column before the =", value=text, where=flag, allowed="COLUMN=VALUE")
        if column in found:
            which = "all columns" if column == REST else f"column {column!r}"
            raise UserError(f"two values for {which}", value=f"{found[column]} and {value}", where=flag)
        found[column] = value
    return found[REST] if list(found) == [REST] and _for_all(field) else found
