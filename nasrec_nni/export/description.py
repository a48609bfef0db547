"""What a network is, as plain values from which it is built again: searched ones and hand-made ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec_nni.architecture.json import from_json, to_json
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError
from nasrec_nni.export.layout import AGAIN, ARCHITECTURE
from nasrec_nni.files import read_json
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes

if TYPE_CHECKING:
    from torch import nn

    from nasrec_nni.baselines.settings import BaselineSettings
    from nasrec_nni.network import TableSettings


def searched(architecture: Architecture, sizes: Sizes, table: TableSettings) -> dict[str, Any]:
    """Of a network of a search space."""
    operators = {
        name
        for block in architecture.canonical.blocks
        for name in (block.dense_operator, block.sparse_operator)
        if name is not None
    }
    return {
        "kind": "searched",
        "id": architecture.id,
        "architecture": to_json(architecture),
        "sizes": asdict(sizes),
        "rows_per_field": list(table.rows_per_field),
        "max_rows_per_field": table.max_rows_per_field,
        "lengths": None if table.lengths is None else list(table.lengths),
        "plugins": _owners("operators", operators) | _owners("mergers", {sizes.dense_to_sparse, sizes.sparse_to_dense}),
    }


def hand_made(
    name: str, dense_width: int, rows_per_field: tuple[int, ...], settings: BaselineSettings, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Of a baseline, with the options that a config gave it."""
    return {
        "kind": "hand-made",
        "baseline": name,
        "dense_width": dense_width,
        "rows_per_field": list(rows_per_field),
        "settings": asdict(settings),
        "options": dict(options),
        "plugins": _owners("baselines", {name}),
    }


def _owners(group: str, names: set[str]) -> dict[str, Any]:
    """The packages of plug-ins, for whoever lacks one later."""
    return {group: {name: registry(group).owner(name) for name in sorted(names)}}


def read(folder: Path, name: str) -> dict[str, Any]:
    """The description in a folder; that of a searched network has its architecture in a file of its own."""
    content: dict[str, Any] = read_json(folder / name)
    if content.get("kind") == "searched":
        content["architecture"] = read_json(folder / ARCHITECTURE)
    return content


def build(content: Mapping[str, Any], where: str) -> nn.Module:
    """A network with weights of its own, in evaluation mode; torch's generator is left as it was.

    Raises:
        UserError: a plug-in is missing, or the description does not fit this version.
    """
    import torch

    _refuse_missing(content.get("plugins", {}), where)
    try:
        with torch.random.fork_rng(devices=[]):
            return (_searched if content["kind"] == "searched" else _hand_made)(content, where).eval()
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"not the description of a network ({error})", where=where, hint=AGAIN) from None


def _refuse_missing(plugins: Mapping[str, Mapping[str, str | None]], where: str) -> None:
    for group, names in plugins.items():
        for name, package in names.items():
            if name not in registry(group).names():
                raise UserError(
                    f"the model needs {group.removesuffix('s')} {name!r}, which is not installed here",
                    where=where,
                    hint=f"Install the package that it came from: {package}"
                    if package
                    else "It was registered by hand where the model was exported: register it here too",
                )


def _searched(content: Mapping[str, Any], where: str) -> nn.Module:
    from nasrec_nni.network import NASRecNetwork, TableSettings

    lengths = content["lengths"]
    table = TableSettings(
        tuple(content["rows_per_field"]),
        sparse_gradients=False,
        max_rows_per_field=content["max_rows_per_field"],
        lengths=None if lengths is None else tuple(lengths),
    )
    return NASRecNetwork(from_json(content["architecture"], where), Sizes(**content["sizes"]), table)


def _hand_made(content: Mapping[str, Any], where: str) -> nn.Module:
    from nasrec_nni.baselines.settings import BaselineSettings

    known = {field.name for field in fields(BaselineSettings)}
    if strange := sorted(content["settings"].keys() - known):
        raise UserError(
            "exported by another version of nasrec-nni, whose settings are not known here",
            value=", ".join(strange),
            where=where,
            hint="Install the version that the manifest names",
        )
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content["settings"].items()}
    settings = BaselineSettings(**values | {"sparse_gradients": False})
    make = registry("baselines").load(content["baseline"])
    built: nn.Module = make(content["dense_width"], tuple(content["rows_per_field"]), settings, **content["options"])
    return built
