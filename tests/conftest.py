"""One thread of torch for all tests: small tensors gain nothing from more, and a shared machine loses."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)


# Files whose tests start NNI or look for what it left running: never two of them at once.
ALONE = ("test_doctor", "test_docs_watching", "test_experiment_")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Tests that take minutes run when they are asked for; with several processes, a file's tests stay together."""
    for item in items:
        if item.get_closest_marker("long") and os.environ.get("NASREC_LONG") != "1":
            item.add_marker(pytest.mark.skip(reason="takes minutes: NASREC_LONG=1 runs it"))
        file = item.path.stem
        item.add_marker(pytest.mark.xdist_group("alone" if file.startswith(ALONE) else file))


@pytest.fixture
def widths(tmp_path: Path) -> Callable[[str, int], tuple[int, int]]:
    """How wide a page's content is, and the window it was given, in pixels, by headless Chromium."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium here to lay the page out")

    def measured(page: str, width: int) -> tuple[int, int]:
        told = "one.contentDocument.documentElement.scrollWidth + ' of ' + one.contentWindow.innerWidth"
        frame = tmp_path / "frame.html"  # a window of its own would be no narrower than 500 pixels
        frame.write_text(
            f'<!DOCTYPE html><title>waiting</title><iframe id="one" width="{width}" height="800" style="border:0" '
            f'onload="document.title = {told}" srcdoc="{html.escape(page)}"></iframe>'
        )
        words = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        words += [
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'browser'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ]
        done = subprocess.run(
            [program, *words, frame.as_uri()], capture_output=True, text=True, timeout=120, check=True
        )
        found = re.search(r"<title>(\d+) of (\d+)</title>", done.stdout)
        assert found is not None, done.stdout[:300]
        return int(found[1]), int(found[2])

    return measured
