"""Raw click log to prepared set: arrays on disk that training reads without parsing text again."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from nasrec_nni.cli.fields import add_flag, is_list, over, value_of, words_of
from nasrec_nni.cli.schema_file import read_schema
from nasrec_nni.cli.tables import pairs
from nasrec_nni.plugins import registry

HOW = (
    "Options that take [COLUMN=]VALUE may stand several times: once for all columns, and once for each column that "
    "differs (--transform log1p --transform price=log2_bins). The last = divides, so that a column name may hold one; "
    "for --separator the first = does, since a separator may be one. Lists may stand several times too. What a flag "
    "cannot say, a schema file can: columns with a comma in their name, or both kinds of =. In a schema file every "
    "value is text as it stands there, 007 and NA included."
)
COMPRESSED = (".gz", ".zst", ".zstd")

INTERRUPTED = "nothing is left of the unfinished set, the same command starts over"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = HOW
    sources = ", ".join(registry("sources").names())
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help="raw files or folders, in order")
    parser.add_argument("--source", metavar="NAME", default="table", help=f"{sources} (table if not given)")
    parser.add_argument(
        "--out", metavar="DATA", type=Path, help="folder to make (data/<name of the first input> if not given)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier prepared set there")
    parser.add_argument(
        "--schema", metavar="FILE", type=Path, help="YAML file of the options below; the command line wins over it"
    )
    common = parser.add_argument_group("for every source")
    single = parser.add_argument_group("for single sources")
    for name, owners in _options().items():
        add_flag(common if "" in owners else single, name, owners)


def _options() -> dict[str, dict[str, FieldInfo]]:
    """Options by name and the source that has them: first those for every source, under the empty name."""
    from nasrec_nni.data.preparing.options import PrepareOptions

    found: dict[str, dict[str, FieldInfo]] = {name: {"": field} for name, field in PrepareOptions.model_fields.items()}
    for source in (plugin.name for plugin in registry("sources").list() if plugin.problem is None):
        for name, field in registry("sources").load(source).Options.model_fields.items():
            if name not in PrepareOptions.model_fields:
                found.setdefault(name, {})[source] = field
    return found


def run(options: argparse.Namespace) -> dict[str, Any]:
    from nasrec_nni.data.describing import describe
    from nasrec_nni.data.prepare import prepare

    # the field of this source; an option that it lacks is refused by `prepare`, which tells those that it has
    fields = {name: of.get(options.source, next(iter(of.values()))) for name, of in _options().items()}
    typed = {name: getattr(options, name) for name in fields if getattr(options, name) is not None}
    given = _of_file(options.schema, fields) if options.schema else {}
    for name, value in typed.items():
        given[name] = over(given.get(name), value_of(name, fields[name], value))
    out = options.out
    if out is None:
        out = Path("data") / _name(options.inputs[0] if options.inputs else options.source)
        print(f"no --out given: the prepared set goes to {out}", file=sys.stderr)
    command = _command(options, out, [word for name in typed for word in words_of(name, typed[name])])
    made = prepare(options.source, options.inputs, out, given, overwrite=options.overwrite, command=command)
    return describe(made)


def _of_file(path: Path, fields: dict[str, FieldInfo]) -> dict[str, Any]:
    """Options of a schema file; one name stands for a list of one."""
    return {
        name: [value] if is_list(fields[name]) and isinstance(value, str) else value
        for name, value in read_schema(path, fields).items()
    }


def _name(given: str) -> str:
    """`logs/clicks.csv.gz` to `clicks`."""
    path = Path(given).absolute()
    name = path.name
    if not path.is_dir():
        name = name.removesuffix(path.suffix) if path.suffix.lower() in COMPRESSED else name
        name = Path(name).stem
    return name.lstrip(".") or "log"


def _command(options: argparse.Namespace, out: Path, typed: list[str]) -> str:
    """What makes this set again, quoted for a shell."""
    schema = ["--schema", str(options.schema)] if options.schema else []
    words = ["nasrec", "prepare", *options.inputs, "--source", options.source, "--out", str(out), *schema, *typed]
    return shlex.join(words)


def words(result: dict[str, Any]) -> str:
    keys = ("folder", "source", "rows", "splits", "dense", "sparse", "fingerprint")
    folder = shlex.quote(result["folder"])
    return f"{pairs({key: result[key] for key in keys})}\n\nnasrec inspect {folder} --html   # what is in it, as a page"
