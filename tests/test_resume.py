"""Killed and continued: the supernet's bits and the list of candidates are those of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nasrec_nni.files import read_lines, sha256

NASREC = str(Path(sys.executable).with_name("nasrec"))
CONFIG = """\
seed: 3
threads: 1
data: {source: synthetic, options: {rows: 12000}}
space: {name: nasrec-full, blocks: 4, dense_widths: [16, 32, 64], sparse_rows: [8, 16]}
supernet:
  recipe: {preset: published, batch: 64, epochs: 2, dropout: 0.1}
  warmup: 0.3
  checkpoint_every: 9
  validate_every: 40
  validation_rows: 500
search:
  candidates: 60
  options: {population: 12, sample: 4}
  in_flight: 3
  head_rows: 4000
  score_rows: 1200
"""
TIMES = ("time", "cpu_seconds")
KILLS = 5


def start(stage: str, config: Path, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [NASREC, stage, str(config), "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(stage: str, config: Path, out: Path) -> None:
    process = start(stage, config, out)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


def kill_after_progress(process: subprocess.Popen[bytes], watched: Path, delay: float) -> None:
    """SIGKILL a moment after the watched file has changed; fails if the work ends before."""
    before = watched.stat().st_mtime_ns if watched.exists() else None
    deadline = time.monotonic() + 120
    while (watched.stat().st_mtime_ns if watched.exists() else None) == before:
        assert process.poll() is None, f"ended before the kill: {process.stderr.read().decode()}"  # type: ignore[union-attr]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(delay)
    assert process.poll() is None, "the work was over before the kill: make it longer"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def candidates(out: Path) -> list[dict[str, Any]]:
    found = read_lines(out / "search" / "candidates.jsonl")
    for line in found:
        for name in TIMES:
            del line["facts"][name]
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("undisturbed")
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    finish("search", config, folder / "run")
    return config, folder / "run"


def test_supernet_after_five_kills(undisturbed: tuple[Path, Path], tmp_path: Path) -> None:
    config, reference = undisturbed
    out, chance = tmp_path / "run", random.Random(1)
    for _ in range(KILLS):
        watched = out / "supernet" / "checkpoint" / "state.json"
        kill_after_progress(start("supernet", config, out), watched, chance.uniform(0, 0.3))
        assert not (out / "supernet" / "supernet.json").exists()
    finish("supernet", config, out)
    found, expected = out / "supernet" / "model.safetensors", reference / "supernet" / "model.safetensors"
    assert sha256(found) == sha256(expected)
    facts = [json.loads((run / "supernet" / "supernet.json").read_text()) for run in (out, reference)]
    assert facts[0]["training"]["row_macs"] == facts[1]["training"]["row_macs"]


def test_search_after_five_kills(undisturbed: tuple[Path, Path], tmp_path: Path) -> None:
    config, reference = undisturbed
    out, chance = tmp_path / "run", random.Random(2)
    finish("supernet", config, out)
    watched = out / "search" / "candidates.jsonl"
    for _ in range(KILLS):
        kill_after_progress(start("search", config, out), watched, chance.uniform(0, 0.4))
    with watched.open("ab") as stream:
        stream.write(b'{"number": 999, "id": "cut in the mid')  # what a kill within a write leaves behind
    finish("search", config, out)
    assert candidates(out) == candidates(reference)
    assert len(candidates(out)) == 60
