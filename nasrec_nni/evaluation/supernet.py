"""A trained supernet on disk, read slice by slice."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError
from nasrec_nni.files import read_json, sha256, write_json
from nasrec_nni.network import NASRecNetwork, TableSettings
from nasrec_nni.profiling import Sizes

WEIGHTS, FACTS = "model.safetensors", "supernet.json"


@dataclass(frozen=True)
class SupernetFacts:
    """What is needed to rebuild any network of a supernet.

    Args:
        space: its search space.
        sizes: data and layer norm.
        table: its embedding table.
        data: fingerprint of the prepared set it was trained on.
        training: steps, rows, seconds and the like, for the record.
        identity: seed and config it was trained with.
    """

    space: SpaceDescription
    sizes: Sizes
    table: TableSettings
    data: str
    training: dict[str, Any]
    identity: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Written last: a folder with it is a whole supernet."""
        write_json(folder / FACTS, asdict(self) | {"sha256": sha256(folder / WEIGHTS)})

    @classmethod
    def read(cls, folder: Path) -> SupernetFacts:
        """Raises UserError if the folder holds no whole supernet or its weights have changed."""
        if not (folder / FACTS).exists():
            raise UserError("not a trained supernet", where=str(folder), hint="Train one with `nasrec supernet`")
        found = read_json(folder / FACTS)
        if sha256(folder / WEIGHTS) != found["sha256"]:
            raise UserError(
                "the weights are not those that were written", where=str(folder / WEIGHTS), hint="Train it again"
            )
        return cls(
            SpaceDescription(**_tuples(found["space"])),
            Sizes(**found["sizes"]),
            TableSettings(**_tuples(found["table"])),
            found["data"],
            found["training"],
            found["identity"],
        )


def _tuples(content: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}


class Supernet:
    """Networks with the weights of a trained supernet.

    The table is loaded once and shared by all networks; of the other weights only the slices a network uses
    are read.

    Args:
        folder: made by supernet training.
        device: where networks are put.
    """

    def __init__(self, folder: Path, device: torch.device | None = None) -> None:
        self.facts = SupernetFacts.read(folder)
        self.device = device or torch.device("cpu")
        self._file = cast(Any, safe_open(str(folder / WEIGHTS), framework="pt", device="cpu"))
        weight = self._file.get_tensor("embedding.weight")  # on a CPU mapped, not read: workers share its pages
        self._table = self.facts.table.build(self.facts.sizes.embedding, weight)
        self._table.to(self.device).requires_grad_(False)

    def network(self, architecture: Architecture) -> NASRecNetwork:
        """The frozen network of an architecture, in evaluation mode.

        Raises:
            UserErrors: the architecture is not in the supernet's space.
        """
        self.facts.space.check(architecture)
        network = NASRecNetwork(architecture, self.facts.sizes, self.facts.table, embedding=self._table)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if not name.startswith("embedding."):
                    parameter.copy_(self._file.get_slice(name)[tuple(slice(size) for size in parameter.shape)])
        return network.to(self.device).requires_grad_(False).eval()
