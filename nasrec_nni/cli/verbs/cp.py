"""Copy an example to start from: a config, or a package with a plug-in. `operator-package` takes a name of yours."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from nasrec_nni.cli.examples import TEMPLATE, TEMPLATE_NAME, contents, find
from nasrec_nni.errors import UserError
from nasrec_nni.files import folder_in_progress, write_text
from nasrec_nni.plugins import registry


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("example", metavar="EXAMPLE", help="`nasrec ls examples` lists them")
    parser.add_argument("--name", metavar="NAME", help=f"of the new operator, for {TEMPLATE}")
    parser.add_argument(
        "--out", metavar="PATH", type=Path, help="where to, ./EXAMPLE.yaml or ./EXAMPLE (./nasrec-NAME) if not given"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    source = find(options.example)
    if options.name is not None and source.name != TEMPLATE:
        raise UserError("only a new package takes a name", where="--name", allowed=f"nasrec cp {TEMPLATE} --name NAME")
    return _package(source, options.name, options.out) if source.is_dir() else _config(source, options.out)


def _config(source: Any, given: Path | None) -> dict[str, Any]:
    out = given or Path(source.name)
    if out.is_dir():
        out /= source.name
    if out.exists():
        raise UserError("is there already", where=str(out), hint="Name another file with --out")
    write_text(out, source.read_text(encoding="utf-8"))
    return {"example": source.name.removesuffix(".yaml"), "out": str(out)}


def _package(source: Any, name: str | None, given: Path | None) -> dict[str, Any]:
    if name is not None and name in registry("operators").names():
        found = registry("operators").owner(name)
        raise UserError("an operator of this name is installed", value=name, where="--name", hint=f"It is {found}'s")
    folder = f"nasrec-{name or TEMPLATE_NAME}" if source.name == TEMPLATE else source.name
    out = given or Path(folder)

    def check() -> None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError("is there already", where=str(out), hint="Name another folder with --out")

    check()
    texts = list(contents(source, name))
    with folder_in_progress(out, check) as partial:
        for path, text in texts:
            write_text(partial / path, text)
    return {"example": source.name, "out": str(out), "files": [str(path) for path, _ in texts]}


def words(result: dict[str, Any]) -> str:
    if "files" in result:
        out = shlex.quote(result["out"])
        return f"copied to {out}; try it with:\n  pip install -e {out} pytest\n  pytest {out}"
    return f"copied to {result['out']}; run it with: nasrec run {result['out']} --out runs/{result['example']}"
