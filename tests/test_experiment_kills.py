"""Four of the eighteen cases of `benchmarks/kill_matrix.py`, which runs all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "kill_matrix.py"
CASES = ("command:TERM:middle", "command:KILL:begin", "manager:KILL:middle", "worker:KILL:begin")


@pytest.mark.long
def test_whoever_is_killed_every_candidate_counts_once(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPT), "--place", str(tmp_path), *(f"--case={case}" for case in CASES)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=1500)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "4 of 4 cases well" in done.stdout
    finally:
        for process in psutil.process_iter(["cmdline"]):
            if str(tmp_path) in " ".join(process.info.get("cmdline") or []):
                process.kill()
