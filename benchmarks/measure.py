"""One piece of work in a fresh process: CPU seconds, wall seconds, peak memory; and tables of the medians.

A fresh process for each, so that the peak is that piece's own and no cache of another one helps. Imports come before
the clock starts and are reported apart.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Any

# Where libraries read their number of threads when they are imported.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
MIB = 1 << 20
LOOK = 0.02  # seconds between two looks at a child's private memory


@dataclass
class Figures:
    """One measurement.

    Args:
        name: what was measured.
        rows: rows that went through.
        cpu_seconds: of the process, its threads and its ended children, the work alone.
        wall_seconds: of the work alone.
        before_cpu_seconds: of the imports, and of what else gets ready, before it.
        peak_mib: most resident memory of the whole process, imports included, plus that of its largest child.
        before_peak_mib: the same when the work began.
        private_mib: most of it that is the process's own, without pages of mapped files, as seen every 20 ms; 0 where
            the system does not tell.
        extra: what else the work says of itself.
    """

    name: str
    rows: int
    cpu_seconds: float
    wall_seconds: float
    before_cpu_seconds: float = 0.0
    peak_mib: float = 0.0
    before_peak_mib: float = 0.0
    private_mib: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Rows per CPU second."""
        return self.rows / self.cpu_seconds


class Clock:
    """CPU and wall seconds of a block."""

    def __enter__(self) -> Clock:
        self.cpu, self.wall = cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu, self.wall = cpu_seconds() - self.cpu, time.perf_counter() - self.wall


def cpu_seconds() -> float:
    """User and system time of this process, its threads and the children it has waited for."""
    return time.process_time() + sum(os.times()[2:4])


def peak_mib() -> float:
    """Most memory that was resident in this process so far, plus in its largest ended child.

    `VmHWM` begins anew with the program; `ru_maxrss` inherits what the parent had when it forked.
    """
    own = _status("self", "VmHWM")
    if own is None:
        own = _resident(resource.RUSAGE_SELF)
    return own + _resident(resource.RUSAGE_CHILDREN)


def _status(process: int | str, key: str) -> float | None:
    """MiB of an entry in a process's status, None where there is none."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{key}:")]
    return int(found[0]) / 1024 if found else None


def _resident(who: int) -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(who).ru_maxrss * unit / MIB


def child(works: Mapping[str, Callable[..., Callable[[], int | tuple[int, dict[str, Any]]]]], words: list[str]) -> None:
    """Do the work that `in_child` asks for and print its figures.

    Args:
        works: by name; called with the arguments, it gets ready and gives the work to be timed, which gives
            its rows, with or without what else to report.
        words: name of the work, then its arguments as JSON.
    """
    name, arguments = words[0], json.loads(words[1])
    with Clock() as ready:
        work = works[name](**arguments)
    before = peak_mib()
    with Clock() as clock:
        done = work()
    rows, extra = done if isinstance(done, tuple) else (done, {})
    found = Figures(name, rows, clock.cpu, clock.wall, ready.cpu, peak_mib(), before, extra=extra)
    print(json.dumps(asdict(found)))


def in_child(script: Path, name: str, arguments: Mapping[str, Any]) -> Figures:
    """Figures of one work, done by `script --child` in a process of its own.

    Raises:
        RuntimeError: it failed; its stderr is in the message.
    """
    threads = dict.fromkeys(THREADS, str(arguments.get("threads", 1)))
    command = [sys.executable, str(script), "--child", name, json.dumps(arguments)]
    private = 0.0
    with TemporaryFile("w+") as out, TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=out, stderr=errors, env=os.environ | threads) as process:
            while process.poll() is None:
                private = max(private, _status(process.pid, "RssAnon") or 0.0)
                time.sleep(LOOK)
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{name} failed:\n{errors.read()}")
        figures = Figures(**json.loads(out.read().splitlines()[-1]))
    figures.private_mib = private
    return figures


def medians(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure over the rounds of one work."""
    names = ("cpu_seconds", "wall_seconds", "before_cpu_seconds", "peak_mib", "before_peak_mib", "private_mib")
    middle = {name: median(getattr(figures, name) for figures in rounds) for name in names}
    return Figures(rounds[0].name, rounds[0].rows, extra=rounds[-1].extra, **middle)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell, the first to the left, the others to the right."""
    cells = [list(head), *(list(line) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

    def row(line: Sequence[str]) -> str:
        first, *rest = zip(line, widths, strict=True)
        return "  ".join((first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)))

    return "\n".join((row(cells[0]), "  ".join("-" * width for width in widths), *map(row, cells[1:])))


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in ("nasrec-nni", "numpy", "pyarrow", "pandas", "scikit-learn", "torch", "fuxictr"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    return {"cpu": model, "cores": os.cpu_count(), "load": os.getloadavg()[0], "versions": versions}
