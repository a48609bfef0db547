"""Raw click log to prepared set: arrays on disk that training reads without parsing text again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from nasrec_nni.cli.tables import pairs
from nasrec_nni.plugins import registry


def arguments(parser: argparse.ArgumentParser) -> None:
    from nasrec_nni.data.options import PrepareOptions

    parser.add_argument("inputs", metavar="INPUT", nargs="*", help="raw files or folders, in order")
    parser.add_argument("--source", metavar="NAME", required=True, help=", ".join(registry("sources").names()))
    parser.add_argument("--out", metavar="DATA", type=Path, required=True, help="folder to make")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier prepared set there")
    owners: dict[str, list[str]] = {}
    fields: dict[str, FieldInfo] = dict(PrepareOptions.model_fields)
    for source in (plugin.name for plugin in registry("sources").list() if plugin.problem is None):
        for name, field in registry("sources").load(source).Options.model_fields.items():
            if fields.setdefault(name, field) is field:
                owners.setdefault(name, []).append(source)
            elif name in owners:
                owners[name].append(source)
    for name, field in fields.items():
        _option(parser, name, field, owners.get(name, []))


def _option(parser: argparse.ArgumentParser, name: str, field: FieldInfo, owners: list[str]) -> None:
    """One option of a source or of all, from its typed field."""
    told = f"{field.description or ''} ({', '.join(owners)})" if owners else field.description
    flag = f"--{name.replace('_', '-')}"
    if field.annotation is bool:
        parser.add_argument(flag, action="store_true", default=None, help=told)
    elif "tuple" in str(field.annotation):
        parser.add_argument(flag, metavar="NAME,NAME", type=_names, help=told)
    else:
        parser.add_argument(flag, metavar="VALUE", help=told)


def _names(text: str) -> list[str]:
    """Names with commas between them."""
    return text.split(",")


def run(options: argparse.Namespace) -> dict[str, Any]:
    from nasrec_nni.data.describing import describe
    from nasrec_nni.data.prepare import prepare

    own = ("inputs", "source", "out", "overwrite", "json", "traceback")
    given = {key: value for key, value in vars(options).items() if key not in own and value is not None}
    return describe(prepare(options.source, options.inputs, options.out, given, overwrite=options.overwrite))


def words(result: dict[str, Any]) -> str:
    keys = ("folder", "source", "rows", "splits", "dense", "sparse", "fingerprint")
    return pairs({key: result[key] for key in keys})
