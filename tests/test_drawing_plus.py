"""Operators beyond the published ones are drawn as well: their words fit, a name of any length stays in its box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nasrec_nni.analysis.drawing import BOX, _Drawing
from nasrec_nni.architecture.description import Operator
from nasrec_nni.architecture.draw import random_architecture
from nasrec_nni.plugins import registry

PLUS = registry("search_spaces").load("nasrec-plus")


def texts(drawing: _Drawing) -> dict[str, float]:
    """Every text and its width in inches."""
    renderer = drawing.figure.canvas.get_renderer()
    dpi = drawing.figure.dpi
    return {text.get_text(): text.get_window_extent(renderer).width / dpi for text in drawing.axes.texts}


@pytest.mark.parametrize("name", ["cross", "fap", "gate", "bilinear"])
def test_added_operators_have_words(name: str) -> None:
    side = f"{registry('operators').load(name).side}_operators"
    space = PLUS.with_sizes(blocks=1, **{side: (name,)})
    found = texts(_Drawing(random_architecture(space, np.random.default_rng(0)), (13, 26)))
    words = {"cross": "cross layer", "fap": "field-aware product", "gate": "gated fusion"}
    assert name.upper() in found
    assert words.get(name, "bilinear interaction") in found


def test_a_strangers_long_name_stays_in_its_box(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "wide-and-deep-and-long-name"
    facts: Operator = replace(registry("operators").load("fc"), name=name)
    monkeypatch.setitem(registry("operators")._loaded, name, facts)
    space = PLUS.with_sizes(blocks=1, dense_operators=(name,))
    found = texts(_Drawing(random_architecture(space, np.random.default_rng(0)), None))
    assert 0 < found[name.upper()] < BOX
