"""The yardstick in a process of its own: a DLRM that trains as any script of plain torch would.

`nasrec` asks for large memory pages, which would speed up the yardstick too. Figures of others were taken beside a DLRM
without them, so it has none here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steps import Parts, PlainDLRM, batches, plain_step

from nasrec_nni import large_pages


@dataclass
class Yardstick:
    """A step like `steps.Step`, done by the other process on batches of its own.

    Args:
        rows: table rows of a field at most.
        batch: rows of a batch.
    """

    rows: int
    batch: int = 512
    warm: int = 1
    _process: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        plain = {key: value for key, value in os.environ.items() if key != large_pages.ASKED} | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(Path(__file__)), str(self.rows), str(self.batch)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=plain, stdin=pipe, stdout=pipe, text=True)

    def run(self, _: object) -> Parts:
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Parts(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    import torch

    os.environ.pop(large_pages.ASKED, None)  # before the first tensor
    rows, batch = map(int, sys.argv[1:])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    step, given = plain_step(PlainDLRM(rows)), batches(batch)
    for number, _ in enumerate(sys.stdin):
        parts = step.run(given[number % len(given)])
        print(json.dumps({name: getattr(parts, name) for name in Parts.__dataclass_fields__}), flush=True)


if __name__ == "__main__":
    main()
