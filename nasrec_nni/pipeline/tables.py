"""Tables that neither this machine nor its GPUs can ever hold: told before hours of work, not behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nasrec_nni.config import Config
from nasrec_nni.errors import UserError
from nasrec_nni.operators.memory import beyond_gpu, beyond_machine, gpu_memory, need
from nasrec_nni.pipeline.space import describe


def too_large(config: Config, rows_per_field: Sequence[int], searches: bool) -> Iterator[UserError]:
    """The trainings whose table, at its full length, has no room.

    Args:
        config: of a run; its space must be known to be right.
        rows_per_field: table rows of each field, as prepared.
        searches: whether a supernet is trained.
    """
    parts = []
    if searches:
        parts.append(("supernet", config.supernet.recipe, config.supernet.max_rows_per_field))
    if config.retrain.top_k + config.retrain.random:  # hand-made models may have narrower tables, or none
        parts.append(("retrain", config.retrain.recipe, config.retrain.max_rows_per_field))
    gpu = _smallest_gpu(config)
    for name, recipe, cap in parts:
        rows = sum(min(count, cap or count) for count in rows_per_field)
        wanted, where = need(rows, describe(config.space).embedding, 0, recipe), f"{name}.max_rows_per_field"
        found = beyond_machine(wanted, config.devices, where)
        if found is None and gpu is not None:
            found = beyond_gpu(wanted, gpu, "is all that a GPU here has", where)
        if found is not None:
            yield found


def _smallest_gpu(config: Config) -> int | None:
    """Bytes of the smallest GPU that would train, None without one."""
    if config.device == "cpu":
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    return min(gpu_memory(number) for number in range(min(config.devices, torch.cuda.device_count())))
