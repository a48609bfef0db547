"""Options of `prepare` in a YAML file: every value is taken as the text that stands there, so 007 and NA stay."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from nasrec_nni.errors import UserError, UserErrors, nearest


class _Text(yaml.BaseLoader):
    """Every scalar is text; a key given twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_schema(path: Path, known: Collection[str]) -> dict[str, Any]:
    """Options by name.

    Args:
        path: a YAML file; a file without keys has none.
        known: names of all options.

    Raises:
        UserErrors: not readable, not YAML, not a mapping, keys that are no option: each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read the schema file ({error.strerror})", where=str(path)) from None
    except UnicodeDecodeError:
        raise UserError("is not UTF-8 text", where=str(path)) from None
    try:
        node = yaml.compose(text, _Text)
        content = yaml.load(text, _Text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"not valid YAML: {getattr(error, 'problem', error)}", where=where) from None
    except RecursionError:
        raise UserError("nested too deeply", where=str(path)) from None
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise UserError(
            "the schema file must be a mapping of options", where=f"{path}:1", hint="For example label: click"
        )
    wrong = [
        UserError(
            "prepare has no such option",
            value=key.value,
            where=f"{path}:{key.start_mark.line + 1}",
            hint=nearest(key.value, known) or f"The options are {', '.join(known)}",
        )
        for key, _ in node.value
        if key.value not in known
    ]
    if wrong:
        raise UserErrors(wrong)
    found: dict[str, Any] = content
    return found
