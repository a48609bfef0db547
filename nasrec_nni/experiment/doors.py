"""Which door a command takes: the search in this process, in a child of it, or by NNI's workers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from nasrec_nni.config import Config
from nasrec_nni.durations import written
from nasrec_nni.errors import UserError
from nasrec_nni.experiment.gpus import refuse_endless_wait
from nasrec_nni.pipeline.run import Action
from nasrec_nni.pipeline.staleness import read_record
from nasrec_nni.run_folder import RunFolder


def choose(
    config: Config, out: Path, last: str, workers: int | None, here: bool = True
) -> tuple[Config, dict[str, Action]]:
    """The config with what follows from the door, and the actions of stages that are done another way.

    Args:
        config: as given.
        out: the run folder.
        last: last stage to do.
        workers: None for the work in this process.
        here: workers run on this machine.

    Raises:
        UserError: the config does not fit so many workers, or they would wait for GPUs for ever.
    """
    if workers is not None and config.budget is not None:
        raise UserError(
            "a time budget is kept by a run in one process, not by NNI's workers",
            value=written(config.budget),
            where="budget",
            hint="Leave --workers away, or the budget",
        )
    if workers is not None and here:
        refuse_endless_wait(config.workers, workers)
    config = with_in_flight(config, _begun_with(RunFolder(out)), workers if last == "search" else None)
    if workers is None:
        return config, {"search": _isolated} if config.workers.isolate else {}
    if last == "search":
        return config, {"search": partial(_by_workers, workers=workers)}
    return config, {"retrain": partial(_retrained_by_workers, workers=workers)}


def _isolated(context: Any) -> dict[str, Any]:
    from nasrec_nni.experiment.isolated import search

    return search(context)


def _by_workers(context: Any, workers: int) -> dict[str, Any]:
    from nasrec_nni.experiment.door import search

    return search(context, workers)


def _retrained_by_workers(context: Any, workers: int) -> dict[str, Any]:
    from nasrec_nni.experiment.retraining import retrain

    return retrain(context, workers)


def _begun_with(folder: RunFolder) -> int | None:
    record = read_record(folder, "search")
    found = None if record is None else record["key"].get("search", {}).get("in_flight")
    return found if type(found) is int else None


def with_in_flight(config: Config, begun_with: int | None, workers: int | None) -> Config:
    """`search.in_flight` where the config leaves it unset: as the run was begun, else so that no worker waits.

    It fixes the sequence of candidates, so it is written into the run's config.

    Args:
        config: as given.
        begun_with: of the run's search, if there is one.
        workers: None for a search in one process.

    Raises:
        UserError: it is set, to fewer than there are workers.
    """
    search, most = config.search, config.workers.batch
    if "in_flight" in search.model_fields_set:
        found = search.in_flight
    elif begun_with is not None:
        found = begun_with
    elif workers is None:
        found = search.in_flight
    else:
        found = max(workers, min(workers * most, search.candidates // 4))
    if workers is not None and found < workers:
        raise UserError(
            f"with so few candidates in flight {workers - found} of {workers} workers would have nothing to do, ever",
            value=found,
            where="search.in_flight",
            allowed=f"at least {workers}",
            hint="Leave it unset in a new run folder, or use fewer workers",
        )
    batch = most if workers is None else min(most, -(-found // workers))
    return config.model_copy(
        update={
            "search": search.model_copy(update={"in_flight": found}),
            "workers": config.workers.model_copy(update={"batch": batch}),
        }
    )
