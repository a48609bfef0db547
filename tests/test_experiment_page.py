"""What NNI's web page makes of what we send it. Facts of its files: the day one changes, look at the page again."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nni_node
import pytest

from nasrec_nni.config import SpaceConfig
from nasrec_nni.experiment.batch import SHOWN
from nasrec_nni.experiment.channel import RECORDS, Http, reunite
from nasrec_nni.experiment.shown import ANY, ONE, search_space
from nasrec_nni.pipeline.space import describe, random_architectures

NODE = Path(nni_node.__path__[0])
SPACE = describe(SpaceConfig.model_validate({"blocks": 3, "dense_widths": [8, 16], "sparse_rows": [4], "heads": 2}))


def page() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in (NODE / "static" / "static" / "js").glob("*.js"))


def test_the_page_shows_what_is_under_this_key_and_no_axis_for_types_it_does_not_know() -> None:
    text = page()
    assert f'"{SHOWN}"' in text
    known = re.search(r'\["choice","layer_choice","input_choice","randint"[^]]*\]', text)
    assert known is not None
    assert {ONE, ANY}.isdisjoint(json.loads(known[0]))


def test_every_label_is_shown_with_what_it_may_be() -> None:
    """And has a first value: the page of trials breaks on one that has none."""
    shown = search_space(SPACE)
    assert len(shown) == 10 * SPACE.blocks
    assert all(label["_value"] for label in shown.values())
    for architecture in random_architectures(SPACE, 0, 50):
        for number, block in enumerate(architecture.blocks, 1):
            for name in ("dense_operator", "dense_width", "sparse_operator", "sparse_rows", "left", "right"):
                value = getattr(block, name)
                assert value is None or value in shown[f"block{number}/{name}"]["_value"]
            for name in ("dense_connections", "sparse_connections"):
                label, value = shown[f"block{number}/{name}"], getattr(block, name)
                assert set(value or ()) <= set(label["_value"])
                assert len(value or ()) <= label["most"]


def test_the_manager_stores_a_value_and_hands_the_whole_message_on() -> None:
    assert "data: metrics.value," in (NODE / "core" / "nniDataStore.js").read_text()
    manager = (NODE / "core" / "nnimanager.js").read_text()
    assert "this.dataStore.storeMetricData(metric.id, metric.data)" in manager
    assert "sendCommand(commands_1.REPORT_METRIC_DATA, metric.data)" in manager


def test_records_travel_beside_the_metric_and_come_back_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    heard: list[Any] = []

    class Dispatcher:
        def handle_report_metric_data(self, data: dict[str, Any]) -> None:
            heard.append(json.loads(data["value"]))

    monkeypatch.setattr(Http, "_put", lambda self, content: sent.append(json.loads(content["metric"])))
    channel, dispatcher = Http("http://127.0.0.1:1/", "t"), Dispatcher()
    metrics: list[dict[str, Any]] = [{"default": 0.5, RECORDS: "[1, 2]"}, {"default": 0.25}]
    for metric in metrics:
        channel.final(metric)
    assert [json.loads(one["value"]) for one in sent] == [{"default": 0.5}, {"default": 0.25}]
    reunite(dispatcher)
    for one in sent:
        dispatcher.handle_report_metric_data(one)
    assert heard == metrics


@pytest.mark.long
@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
def test_a_browser_sees_what_the_run_folder_says(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "web_pages.py"
    words = [sys.executable, str(script), "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as candidates.jsonl says: 7 trials, 28 points, 9 axes" in done.stdout
    assert len(list(tmp_path.glob("web-*.png"))) == 4
