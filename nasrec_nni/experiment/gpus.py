"""GPUs of workers: NNI's keys from ours, and the plans that would wait for ever.

Facts of NNI 3.0's scheduler (tests/test_experiment_gpus.py asks it):
1. a trial that cannot have its GPUs waits, and nobody is told;
2. it hands out GPUs by their number on the machine, whatever `CUDA_VISIBLE_DEVICES` says where the search was started;
3. a trial gets `trialGpuNumber / maxTrialNumberPerGpu` GPUs, rounded from 1 on, a share of one below;
4. without `useActiveGpu` it passes over GPUs on which any process works, a desktop or one of our own workers.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from typing import Any

from nasrec_nni.config import WorkersConfig
from nasrec_nni.errors import UserError

CHOSEN = "CUDA_VISIBLE_DEVICES"


def service(workers: WorkersConfig) -> dict[str, Any]:
    """Keys of NNI's local training service."""
    if not workers.gpus:
        return {}
    indices = workers.gpu_indices
    if indices is None and CHOSEN in os.environ:
        indices = tuple(visible())
    keys = {"useActiveGpu": workers.use_active_gpu, "maxTrialNumberPerGpu": workers.per_gpu}
    return keys | ({} if indices is None else {"gpuIndices": list(indices)})


def visible() -> list[int]:
    """Indices of this machine's GPUs, as `nvidia-smi` counts them, that `CUDA_VISIBLE_DEVICES` leaves."""
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    found = [tuple(part.strip() for part in line.split(",", 1)) for line in done.stdout.splitlines() if "," in line]
    chosen = os.environ.get(CHOSEN)
    if chosen is None:
        return [int(index) for index, _ in found]
    left = set()
    for name in (name.strip() for name in chosen.split(",")):
        named = [int(index) for index, uuid in found if name == index or (name and uuid.startswith(name))]
        if not named:
            break  # CUDA takes what stands before the first one that it does not know
        left.update(named)
    return sorted(left)


def busy() -> set[int]:
    """Indices of GPUs on which processes work, as NNI itself sees it."""
    from nni.tools.nni_manager_scripts.collect_gpu_info import collect

    info = collect(False)
    return set() if info is None else {process.gpu_index for process in info.processes}


def refuse_endless_wait(
    config: WorkersConfig, workers: int, there: list[int] | None = None, at_work: set[int] | None = None
) -> None:
    """Raises UserError if some worker would wait for GPUs for ever: NNI says nothing and waits.

    Args:
        config: what workers ask for.
        workers: how many.
        there: indices of the GPUs; looked up if None.
        at_work: indices of those that other processes use; looked up if None.
    """
    if not config.gpus:
        return
    there = visible() if there is None else there
    shown = ", ".join(map(str, there)) or "none"
    if config.gpu_indices is not None and (absent := sorted(set(config.gpu_indices) - set(there))):
        raise UserError(
            "no such GPU here, so every worker would wait for ever",
            value=absent,
            where="workers.gpu_indices",
            allowed=f"visible GPUs: {shown}",
            hint=f"See `nvidia-smi` and {CHOSEN}",
        )
    usable = set(there if config.gpu_indices is None else config.gpu_indices)
    if not (slots := at_a_time(config, len(usable))):
        raise UserError(
            "a worker asks for more GPUs than there are, so it would wait for ever",
            value=config.gpus,
            where="workers.gpus",
            allowed=f"at most {len(usable)} (visible GPUs: {shown})",
            hint="device=cpu with workers.gpus=0 works on the CPU",
        )
    if workers > slots:
        raise UserError(
            f"only {slots} workers can have GPUs at a time, the others would wait for them all the while",
            value=workers,
            where="--workers",
            allowed=f"at most {slots}",
            hint="workers.per_gpu lets workers share a GPU",
        )
    if config.use_active_gpu:
        return
    if workers > at_a_time(config.model_copy(update={"per_gpu": 1}), len(usable)) and config.per_gpu > 1:
        raise UserError(
            "a GPU on which one worker is at work would not be given to a second one",
            value=False,
            where="workers.use_active_gpu",
            allowed="true where workers share a GPU",
            hint=f"Set workers.use_active_gpu=true, or at most {len(usable)} workers",
        )
    taken = usable & (busy() if at_work is None else at_work)
    if workers > (free := at_a_time(config, len(usable - taken))):
        raise UserError(
            f"other processes are at work on some GPUs, and {workers - free} of {workers} workers would wait for those",
            value=sorted(taken),
            where="workers.use_active_gpu",
            allowed="true, to use them all the same",
            hint=f"With {free} workers none waits" if free else "`nvidia-smi` lists those processes",
        )


def at_a_time(config: WorkersConfig, gpus: int) -> int:
    """Workers that NNI lets work at a time on so many GPUs."""
    share = config.gpus / config.per_gpu
    return gpus * int(1.001 / share) if share < 1 else gpus // math.floor(share + 0.5)
