"""The search space as NNI's web page shows it. It is for people: what is asked comes from the run's config."""

from __future__ import annotations

from typing import Any

from nasrec_nni.architecture.space import SpaceDescription


def search_space(space: SpaceDescription) -> dict[str, Any]:
    """A choice for every label; of connections, which may be any subset, a sentence."""
    found: dict[str, Any] = {}
    for block in range(1, space.blocks + 1):
        sources = f"any of the sources 0 to {block - 1}, {space.max_connections} at most"
        for label, values in (
            ("dense_operator", list(space.dense_operators)),
            ("dense_width", list(space.dense_widths)),
            ("sparse_operator", list(space.sparse_operators)),
            ("sparse_rows", list(space.sparse_rows)),
            ("dense_connections", [sources]),
            ("sparse_connections", [sources]),
            ("left", [sources]),
            ("right", [sources]),
            ("dense_to_sparse", ["on", "off"]),
            ("sparse_to_dense", ["on", "off"]),
        ):
            found[f"block{block}/{label}"] = {"_type": "choice", "_value": values}
    return found
