"""A config file to a typed config: YAML, `key=value` overrides, every mistake with its key."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from nasrec_nni.config import Config, Recipe
from nasrec_nni.errors import UserError, UserErrors


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice instead of taking the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key if isinstance(key, str) else id(key_node))
        return super().construct_mapping(node, deep)


def _read_yaml(text: str) -> Any:
    return yaml.load(text, _Loader)


def load_config(path: Path, overrides: tuple[str, ...] = ()) -> Config:
    """Read YAML, apply `key=value` overrides, check everything.

    Raises:
        UserErrors: every mistake with its dotted key.
    """
    try:
        content = _read_yaml(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UserError(
            f"cannot read the config ({type(error).__name__})",
            where=str(path),
            hint="`nasrec ls examples` lists configs to start from",
        ) from None
    except UnicodeDecodeError:
        raise UserError("is not UTF-8 text", where=str(path)) from None
    except RecursionError:
        raise UserError("nested too deeply", where=str(path)) from None
    except ValueError as error:
        raise UserError(f"not valid YAML: {error}", where=str(path)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"not valid YAML: {getattr(error, 'problem', error)}", where=where) from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise UserError("the config must be a mapping of keys", value=type(content).__name__, where=str(path))
    for override in overrides:
        _apply(content, override)
    return parse_config(content, str(path))


def parse_config(content: dict[str, Any], where: str = "config") -> Config:
    """A config from plain values; `where` names it in errors."""
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise UserErrors([_as_user_error(detail, where) for detail in error.errors()]) from None


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError("an override must read key=value", value=override, hint="For example search.candidates=300")
    try:
        value = _read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UserError("the value of an override is not YAML", value=override) from None
    *parents, last = key.split(".")
    at = content
    for parent in parents:
        child = at.setdefault(parent, {})
        if isinstance(child, str) and parent == "recipe":
            child = at[parent] = {"preset": child}
        if not isinstance(child, dict):
            raise UserError("an override reaches into a key that is not a mapping", value=override, where=parent)
        at = child
    at[last] = value


def _as_user_error(detail: Any, where: str) -> UserError:
    key = ".".join(str(part) for part in detail["loc"])
    place = f"{where}: {key}" if key else where
    if detail["type"] == "extra_forbidden":
        known = _keys_at(detail["loc"][:-1])
        close = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
        return UserError(
            "unknown key",
            where=place,
            allowed=", ".join(known),
            hint=f"Did you mean {close[0]!r}?" if close else None,
        )
    message = str(detail["msg"]).removeprefix("Value error, ")
    value = None if isinstance(detail["input"], dict) else detail["input"]
    return UserError(message[0].lower() + message[1:], value=value, where=place)


def _keys_at(path: tuple[Any, ...]) -> list[str]:
    model: Any = Config
    for part in path:
        annotation = model.model_fields[part].annotation
        model = annotation if isinstance(annotation, type) else Recipe
    return list(model.model_fields)
