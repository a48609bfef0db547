"""Architectures as values: JSON, liveness, canonical form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec_nni.architecture.canonical import canonical_path, liveness
from nasrec_nni.architecture.draw import random_architecture
from nasrec_nni.architecture.json import from_json, load_architecture, to_json
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.plugins import registry

PUBLISHED = Path(__file__).parent / "published"
# SPEC section 11, column "live ops" of blocks 1..7: d dense operator, s sparse operator.
LIVE = {
    "criteo_autoctr": "ds ds d ds ds - ds",
    "criteo_xlarge": "ds ds ds - - - ds",
    "avazu_autoctr": "ds ds ds ds ds ds ds",
    "avazu_xlarge": "ds ds ds - - - ds",
    "kdd_autoctr": "ds ds ds ds ds d ds",
    "kdd_xlarge": "ds ds s ds ds - ds",
}
OUTPUTS = {  # column "live outs"
    "criteo_autoctr": "DS DS D DS DS - DS",
    "avazu_autoctr": "DS DS DS D D S DS",
    "kdd_xlarge": "S DS S S DS - DS",
}


@pytest.mark.parametrize("name", LIVE)
def test_liveness_of_published_networks(name: str) -> None:
    live = liveness(load_architecture(PUBLISHED / f"{name}.json").path)
    found = " ".join(("d" * own.dense + "s" * own.sparse) or "-" for own in live)
    assert found == LIVE[name]
    outputs = " ".join(("D" * own.dense_out + "S" * own.sparse_out) or "-" for own in live)
    assert outputs == OUTPUTS.get(name, outputs)


@pytest.mark.parametrize("name", LIVE)
def test_published_files_load_and_round_trip(name: str) -> None:
    architecture = load_architecture(PUBLISHED / f"{name}.json")
    registry("search_spaces").load(architecture.space).check(architecture)
    for form in (architecture, architecture.canonical):
        assert from_json(json.loads(json.dumps(to_json(form)))) == form
        assert form.id == architecture.id


def test_a_path_may_be_a_string(tmp_path: Path) -> None:
    path = PUBLISHED / "criteo_autoctr.json"
    assert load_architecture(str(path)) == load_architecture(path)
    with pytest.raises(UserError, match=r"none\.json: file not found"):
        load_architecture(str(tmp_path / "none.json"))


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(("nasrec-small", "nasrec-full", "nasrec-plus")))
def test_canonical_form_is_idempotent_and_keeps_liveness(seed: int, name: str) -> None:
    architecture = random_architecture(registry("search_spaces").load(name), np.random.default_rng(seed))
    canonical = architecture.canonical
    assert canonical.canonical == canonical
    assert liveness(canonical.path) == liveness(architecture.path)
    assert canonical_path(canonical.path) == canonical_path(architecture.path)
    registry("search_spaces").load(name).check(canonical)


def test_order_of_lists_and_sides_of_a_sum_do_not_matter() -> None:
    architecture = load_architecture(PUBLISHED / "kdd_xlarge.json")
    assert architecture.blocks[4].dense_operator == "sum"
    blocks = [replace(b, sparse_connections=tuple(reversed(b.sparse_connections or ()))) for b in architecture.blocks]
    blocks[4] = replace(blocks[4], left=blocks[4].right, right=blocks[4].left)
    assert Architecture("nasrec-full", tuple(blocks)).id == architecture.id
    blocks[6] = replace(blocks[6], left=1)  # a gate: its sides are not the same
    assert Architecture("nasrec-full", tuple(blocks)).id != architecture.id


def block(**changes: object) -> dict:
    whole = {
        "dense_operator": "fc",
        "dense_width": 16,
        "sparse_operator": "efc",
        "sparse_rows": 16,
        "dense_connections": [0],
        "sparse_connections": [0],
        "left": None,
        "right": None,
        "dense_to_sparse": False,
        "sparse_to_dense": True,
    }
    return whole | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "JSON object"),
        ({"space": "nasrec-small"}, "not an architecture"),
        ({"space": "nasrec-small", "blocks": []}, "not an architecture"),
        ({"space": 3, "blocks": [block()]}, "space must be a name"),
        ({"space": "s", "blocks": [block(dense_operator="efc")]}, "block1/dense_operator: not allowed"),
        ({"space": "s", "blocks": [block(dense_operator="fcc")]}, "registered operators"),
        ({"space": "s", "blocks": [block(dense_width=0)]}, "whole number above 0"),
        ({"space": "s", "blocks": [block(dense_width=True)]}, "whole number above 0"),
        ({"space": "s", "blocks": [block(dense_connections=[1])]}, "sources from 0 to 0"),
        ({"space": "s", "blocks": [block(), block(sparse_connections=[0, 0])]}, "block2/sparse_connections"),
        ({"space": "s", "blocks": [block(left=1)]}, "source from 0 to 0"),
        ({"space": "s", "blocks": [block(dense_to_sparse="on")]}, "true or false"),
        ({"space": "s", "blocks": [block() | {"widht": 3}]}, "unknown key"),
        ({"space": "s", "blocks": [block(dense_width=None)]}, "is null but reaches the output"),
        ({"space": "s", "blocks": [block(sparse_connections=None)]}, "is null but reaches the output"),
        ({"space": "s", "blocks": ["fc"]}, "a block is a JSON object"),
        ({"micro": [], "macro": [], "config": "huge"}, "unknown space"),
        ({"micro": [{}], "macro": [{}], "config": "xlarge"}, "authors' form"),
    ],
)
def test_wrong_files_are_refused(content: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_json(content)


def test_every_mistake_is_told_at_once() -> None:
    wrong = {"space": "s", "blocks": [block(dense_width=-1, sparse_rows="x"), block(left=7)]}
    with pytest.raises(UserErrors) as caught:
        from_json(wrong)
    assert len(caught.value.errors) == 3


def test_space_refuses_what_it_does_not_hold() -> None:
    small = registry("search_spaces").load("nasrec-small")
    full = load_architecture(PUBLISHED / "criteo_xlarge.json")
    with pytest.raises(UserErrors, match="block1/dense_operator: not in the space, got 'sg'; allowed: fc, dp"):
        small.check(full)
    with pytest.raises(UserError, match="wrong number of blocks"):
        small.with_sizes(blocks=3).check(full)
    with pytest.raises(UserError, match="is a sparse operator"):
        small.with_sizes(dense_operators=("fc", "efc"))
