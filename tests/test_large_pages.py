"""Large pages are asked for before torch is loaded, and left alone where the user has said something."""

from __future__ import annotations

import os

import pytest

from nasrec_nni import large_pages
from nasrec_nni.cli import main


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_the_command_asks_unless_told_otherwise(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(large_pages.ASKED, raising=False)
    if before is not None:
        monkeypatch.setenv(large_pages.ASKED, before)
    assert main(["--help"]) == 0
    assert os.environ[large_pages.ASKED] == after
    monkeypatch.setenv(large_pages.ASKED, "1")  # for pytest to take back
