"""The search space as NNI's web page shows it. It is for people: what is asked comes from the run's config.

Fact: the page draws an axis for every label of a type that it knows ("choice" among them), whether trials have a value
for it or not, and breaks on a label without `_value`. A trial here is a batch, which has no one value for any label.
"""

from __future__ import annotations

from typing import Any

from nasrec_nni.architecture.space import SpaceDescription

ONE, ANY = "one of", "any of"  # no types of NNI's


def search_space(space: SpaceDescription) -> dict[str, Any]:
    """What each label may be: one of some values, or any of them up to some number."""
    found: dict[str, Any] = {}
    for block in range(1, space.blocks + 1):
        sources, most = range(block), min(block, space.max_connections)
        for label, type_, values in (
            ("dense_operator", ONE, space.dense_operators),
            ("dense_width", ONE, space.dense_widths),
            ("sparse_operator", ONE, space.sparse_operators),
            ("sparse_rows", ONE, space.sparse_rows),
            ("dense_connections", ANY, sources),
            ("sparse_connections", ANY, sources),
            ("left", ONE, sources),
            ("right", ONE, sources),
            ("dense_to_sparse", ONE, ("on", "off")),
            ("sparse_to_dense", ONE, ("on", "off")),
        ):
            found[f"block{block}/{label}"] = {"_type": type_, "_value": list(values)} | (
                {"most": most} if type_ == ANY else {}
            )
    return found
