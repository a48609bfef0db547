"""GPUs of workers: NNI's keys from ours, and the plans that would wait for ever."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

from nasrec_nni.config import WorkersConfig
from nasrec_nni.errors import UserError


def service(workers: WorkersConfig) -> dict[str, Any]:
    """Keys of NNI's local training service."""
    if not workers.gpus:
        return {}
    indices = {} if workers.gpu_indices is None else {"gpuIndices": list(workers.gpu_indices)}
    return {"useActiveGpu": workers.use_active_gpu, "maxTrialNumberPerGpu": workers.per_gpu, **indices}


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
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [int(index) for index, _ in found]
    names = [name.strip() for name in chosen.split(",")]
    return [int(index) for index, uuid in found if index in names or any(n and uuid.startswith(n) for n in names)]


def refuse_endless_wait(config: WorkersConfig, workers: int, there: list[int] | None = None) -> None:
    """Raises UserError if some worker would wait for GPUs for ever: NNI says nothing and waits.

    Args:
        config: what workers ask for.
        workers: how many.
        there: indices of the GPUs; looked up if None.
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
            hint="See `nvidia-smi` and CUDA_VISIBLE_DEVICES",
        )
    usable = there if config.gpu_indices is None else list(config.gpu_indices)
    needed = 1 if config.per_gpu > 1 else config.gpus
    if len(usable) < needed:
        raise UserError(
            "a worker asks for more GPUs than there are, so it would wait for ever",
            value=config.gpus,
            where="workers.gpus",
            allowed=f"at most {len(usable)} (visible GPUs: {shown})",
            hint="--gpus-per-worker 0 searches on the CPU",
        )
    slots = len(usable) * config.per_gpu // config.gpus
    if workers > slots:
        raise UserError(
            f"only {slots} workers can have GPUs at a time, the others would wait for them all the while",
            value=workers,
            where="--workers",
            allowed=f"at most {slots}",
            hint="workers.per_gpu lets workers share a GPU",
        )
