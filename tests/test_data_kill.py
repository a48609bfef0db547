"""`nasrec prepare` killed at random moments: never a folder that reads as complete, and the rerun loses nothing."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nasrec_nni.data.prepared import MANIFEST, PreparedSet
from nasrec_nni.errors import UserError
from nasrec_nni.files import recover

COMMAND = Path(sys.executable).with_name("nasrec")
LOGS = Path(__file__).parents[1] / "benchmarks" / "logs.py"
ROWS = 30_000
KILLS = 20
POLL = 0.002  # seconds between two looks
VARYING = ("made", "command")  # of a manifest: time, and the paths that were typed


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: its folder, and the seconds from its first file to its end."""

    log: Path
    out: Path
    seconds: float


@contextmanager
def started(log: Path, out: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A preparation that has begun its work: imports and options are behind it."""
    command = [str(COMMAND), "prepare", str(log), "--source", "criteo", "--out", str(out), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not partial(out) and process.poll() is None:
            time.sleep(POLL)
        yield process
    finally:
        process.kill()
        process.communicate()


def partial(out: Path) -> list[Path]:
    return list(out.parent.glob(f".{out.name}.*"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    log = folder / "log.tsv"
    subprocess.run([sys.executable, str(LOGS), "growing", "--rows", str(ROWS), "--out", str(log)], check=True)
    outs, seconds = [folder / "set", folder / "again"], []
    for out in outs:  # the first one may wait for cold files
        with started(log, out) as process:
            began = time.monotonic()
            while not out.exists() and process.poll() is None:
                time.sleep(POLL)
            seconds.append(time.monotonic() - began)
            _, err = process.communicate()
        assert process.returncode == 0, err
        assert not partial(out)
    refuse_difference(*outs)
    return Undisturbed(log, outs[0], min(seconds))


def refuse_difference(found: Path, expected: Path) -> None:
    """Every file the same, byte for byte; the manifest apart from time and paths."""
    manifests = []
    for folder in (found, expected):
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        manifests.append({key: value for key, value in manifest.items() if key not in VARYING})
    assert manifests[0] == manifests[1]
    names = set(manifests[0]["files"])
    assert names >= {"dense.npy", "sparse.npy", "label.npy", "split-train.npy", "schema.json", "vocabulary.parquet"}
    assert [name for name in sorted(names) if (found / name).read_bytes() != (expected / name).read_bytes()] == []
    assert {path.name for path in found.iterdir()} == {path.name for path in expected.iterdir()}


def refuse_half(folder: Path, expected: Path) -> None:
    """A folder either is refused or is the whole set."""
    try:
        PreparedSet.load(folder)
    except UserError:
        return
    refuse_difference(folder, expected)


def kill_and_rerun(expected: Undisturbed, folder: Path, share: float) -> bool:
    """Kill after a share of the work, look, run again, look. Whether the kill came before the end."""
    folder.mkdir()
    out = folder / "set"
    with started(expected.log, out) as process:
        time.sleep(share * expected.seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    if out.exists():  # the kill came after the end
        refuse_difference(out, expected.out)
        assert not partial(out)
        return False
    left = partial(out)
    assert len(left) == 1
    refuse_half(left[0], expected.out)
    with pytest.raises(UserError):
        PreparedSet.load(out)
    again = [str(COMMAND), "prepare", str(expected.log), "--source", "criteo", "--out", str(out)]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "unfinished attempt" in done.stderr
    assert "starting over" in done.stderr
    refuse_difference(out, expected.out)
    assert [path.name for path in folder.iterdir()] == ["set"]
    return True


def test_sigkill_at_random_moments(undisturbed: Undisturbed, tmp_path: Path) -> None:
    rng = random.Random(2018)
    moments = [(number + rng.random()) / KILLS for number in range(KILLS)]
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(kill_and_rerun, undisturbed, tmp_path / str(number), share)
            for number, share in enumerate(moments)
        ]
        hits = sum(job.result() for job in jobs)
    assert hits > KILLS / 2


@pytest.mark.parametrize("share", [0.1, 0.7])
def test_sigkill_while_replacing_keeps_the_earlier_set(undisturbed: Undisturbed, tmp_path: Path, share: float) -> None:
    out = tmp_path / "set"
    done = subprocess.run(
        [str(COMMAND), "prepare", str(undisturbed.log), "--source", "criteo", "--split", "in_order", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before = PreparedSet.load(out).fingerprint
    with started(undisturbed.log, out, "--overwrite") as process:
        time.sleep(share * undisturbed.seconds / 2)
        process.kill()
        process.communicate()
    recover(out)  # what the next command begins with; the kill may have come between two renames
    after = PreparedSet.load(out).fingerprint
    assert after in (before, PreparedSet.load(undisturbed.out).fingerprint)
    assert share > 0.5 or after == before  # the early kill came while the new set was being made


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_interrupt_leaves_nothing(undisturbed: Undisturbed, tmp_path: Path, share: float) -> None:
    out = tmp_path / "set"
    with started(undisturbed.log, out) as process:
        time.sleep(share * undisturbed.seconds)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130, err
    assert "interrupted by SIGINT" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
