"""docs/sklearn.md and docs/budget.md say only what exists: their code runs, with less time and fewer rows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nasrec_nni
from nasrec_nni.cli.parser import verb_parser
from nasrec_nni.estimator import NASRecClassifier
from nasrec_nni.estimator.settings import BATCH, EPOCHS, SIZES, STEPS, batch_of, epochs_of
from nasrec_nni.pipeline.budget import costs, cuts

DOCS = Path(__file__).parents[1] / "docs"
SKLEARN, BUDGET = ((DOCS / name).read_text(encoding="utf-8") for name in ("sklearn.md", "budget.md"))
README = (DOCS.parent / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"^```python\n(.*?)^```", f"{SKLEARN}\n{README}", re.DOTALL | re.MULTILINE)


class Small(NASRecClassifier):
    """What the page's classifier is, without the clock and with less work."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NASRecClassifier:
        self.time_budget, self.candidates = None, 2
        self.space = {"blocks": 1, "dense_widths": [16], "sparse_rows": [8]}
        self.config = {"supernet": {"recipe": {"epochs": 1}}, "retrain": {"recipe": {"epochs": 1}, "top_k": 1}}
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("at", range(len(CODE)))
def test_the_python_of_the_page_runs(
    at: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nasrec_nni, "NASRecClassifier", Small, raising=False)
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"price": random.normal(size=120), "city": random.choice(["Rome", "Oslo"], 120)})
    names: dict[str, Any] = {"frame": frame, "labels": random.integers(0, 2, 120), "NASRecClassifier": Small}
    exec(CODE[at], names)  # the code under test
    assert names.get("model", names.get("pipeline")) is not None


@pytest.mark.parametrize("command", re.findall(r"^(nasrec run .*?)(?:  #.*)?$", BUDGET, re.MULTILINE))
def test_commands_of_the_page_parse(command: str) -> None:
    _, verb, *words = shlex.split(command)
    _, unknown = verb_parser(verb).parse_known_intermixed_args(words)
    assert unknown == []


def test_figures_and_the_order_of_cuts_are_those_of_the_code() -> None:
    flat = " ".join(BUDGET.split())
    assert cuts.ORDER.replace("then ", "").replace("the searched", "searched") in flat
    assert "4 : 1.5 : 4.5" in flat
    assert costs.WEIGHTS == {"supernet": 4.0, "search": 1.5, "retrain": 4.5}
    assert (costs.MARGIN, costs.LEAST_STEPS, costs.LEAST_PART) == (0.02, 50, 20)
    assert (BATCH, EPOCHS, STEPS, SIZES["blocks"]) == ((16, 1024), (3, 40), 600, 4)
    assert "16 to 1,024" in SKLEARN
    assert "600 steps, 3 to 40" in " ".join(SKLEARN.split())


@pytest.mark.parametrize(("rows", "batch", "epochs"), [(80, 16, 40), (800, 32, 24), (8000, 512, 39), (10**6, 1024, 3)])
def test_sizes_follow_the_rows(rows: int, batch: int, epochs: int) -> None:
    assert (batch_of(rows), epochs_of(rows)) == (batch, epochs)


def test_no_place_on_one_machine() -> None:
    assert not re.search(r"https?://|/home/|/root/|/tmp/", SKLEARN + BUDGET)
