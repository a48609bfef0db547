"""Is this machine fit: versions, GPU, disk, caches, a port, NNI's node program. Each check tells what to do next."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from packaging.requirements import Requirement

PACKAGE = "nasrec-nni"
DISK, MEMORY = 5, 2  # GiB below which large data will not fit
GIB = 2**30


@dataclass(frozen=True)
class Check:
    """One look at the machine.

    Args:
        name: of what was looked at.
        state: good, warning (some things will not work, or slowly) or bad (nothing will).
        found: in words.
        hint: what to do, None if nothing.
    """

    name: str
    state: str
    found: str
    hint: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def checks() -> list[Check]:
    """All of them; one that fails in an unforeseen way is a bad one, not the end."""
    looks: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("python", _python),
        ("cores and memory", _size),
        ("disk", _disk),
        ("gpu", _gpu),
        ("kernel cache", _kernels),
        ("node", _node),
        ("nni settings", _settings),
        ("experiment list", _experiments),
        ("port", _port),
    )
    found = list(_packages())
    for name, look in looks:
        try:
            found.append(look())
        except Exception as error:
            found.append(Check(name, "bad", f"{type(error).__name__}: {error}"))
    return found


def _packages() -> Iterator[Check]:
    """What the package says it needs, against what is installed."""
    for line in requires(PACKAGE) or []:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        hint = f"pip install '{wanted.name}{wanted.specifier}'"
        try:
            there = version(wanted.name)
        except PackageNotFoundError:
            yield Check(wanted.name, "bad", "not installed", hint)
            continue
        if wanted.specifier.contains(there, prereleases=True):
            yield Check(wanted.name, "good", there)
        else:
            yield Check(wanted.name, "bad", f"{there}, needs {wanted.specifier}", hint)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if (3, 10) <= sys.version_info < (3, 14):
        return Check("python", "good", found)
    return Check("python", "bad", found, "Python 3.10 to 3.13: NNI does not start on others")


def _size() -> Check:
    process = psutil.Process()
    cores = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory()
    told = f"{cores} cores, {memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    if memory.available < MEMORY * GIB:
        return Check("cores and memory", "warning", told, "Fewer --workers: each holds a supernet and its data")
    return Check("cores and memory", "good", told)


def _disk() -> Check:
    places = {"here": Path.cwd(), "temporary files": Path(tempfile.gettempdir())}
    free = {name: shutil.disk_usage(place).free / GIB for name, place in places.items()}
    told = ", ".join(f"{name} {gib:.1f} GiB free" for name, gib in free.items())
    if min(free.values()) < DISK:
        return Check("disk", "warning", told, "`nasrec run CONFIG --plan` says how much a run needs")
    return Check("disk", "good", told)


def _gpu() -> Check:
    from nasrec_nni.experiment.gpus import visible

    listed = visible()
    if not listed:
        return Check("gpu", "good", "none visible, so everything runs on the CPU")
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]
        return Check("gpu", "good", ", ".join(names))
    return Check("gpu", "bad", f"{len(listed)} visible, torch {torch.__version__} sees none", "Install torch for CUDA")


def _kernels() -> Check:
    import numba

    from nasrec_nni.operators import kernels

    # compiled code of a function lies beside its file, or in the user's cache
    folder = Path(kernels.__file__).parent / "__pycache__"
    own = numba.config.CACHE_DIR
    places = [Path(own)] if own else [folder, Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()]
    for place in places:
        if _writable(place):
            return Check("kernel cache", "good", str(place))
    shown = " nor ".join(map(str, places))
    hint = "Set NUMBA_CACHE_DIR to a folder that can be written: every process compiles its kernels anew, for seconds"
    return Check("kernel cache", "warning", f"cannot write {shown}", hint)


def _node() -> Check:
    spec = find_spec("nni_node")
    if spec is None or not spec.submodule_search_locations:
        return Check("node", "bad", "NNI has no node program", "pip install --force-reinstall nni==3.0")
    program = Path(next(iter(spec.submodule_search_locations))) / "node"
    try:
        done = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        return Check("node", "bad", f"{program}: {error.strerror}", "--no-web searches without it")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return Check("node", "bad", f"{program}: {last}", "--no-web searches without it")
    return Check("node", "good", done.stdout.strip())


def _settings() -> Check:
    """NNI makes them on first use, without a lock: two first starts at once break."""
    folder = Path(sys.prefix) / "nni"
    if (folder / "training_services.json").exists():
        return Check("nni settings", "good", str(folder))
    if _writable(folder):
        return Check("nni settings", "warning", f"{folder} is not there yet", "Once, alone: nnictl --version")
    return Check("nni settings", "bad", f"cannot write {folder}", "Use an environment of your own")


def _experiments() -> Check:
    folder = Path("~/nni-experiments").expanduser()
    if _writable(folder):
        return Check("experiment list", "good", str(folder))
    return Check("experiment list", "bad", f"cannot write {folder}, where NNI keeps its list", "Set HOME to your own")


def _port() -> Check:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return Check("port", "good", f"{one.getsockname()[1]} is free, for one")


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or it can be made; a try, since root may do what modes forbid."""
    there = folder
    while not there.exists():
        if there == there.parent:
            return False
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False
