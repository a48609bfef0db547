"""What TensorBoard shows of a search: every candidate once, in order, whatever the order of results and restarts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.config import SpaceConfig
from nasrec_nni.pipeline.scalars import Scalars
from nasrec_nni.pipeline.space import describe, random_architectures
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.strategies.search import REJECTED, Record

SPACE = describe(SpaceConfig.model_validate({"blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4], "heads": 2}))
ARCHITECTURES: list[Architecture] = random_architectures(SPACE, 0, 8)
VALUES = [0.5, 0.25, None, 0.75, 0.125, 0.0625, 0.5, 0.03125]  # exact in float32


def record(number: int) -> Record:
    architecture, value = ARCHITECTURES[number], VALUES[number]
    failure = "bad" if value is None else None
    facts: dict[str, Any] = {} if value is None else {"log_loss": value * 2}
    if number == 5:
        facts[REJECTED] = 100  # the lowest value by then, of a part of the rows only
    return Record(number, architecture.id, architecture, value, failure, 7, facts)


def shown(folder: RunFolder) -> dict[str, list[tuple[int, float]]]:
    found = EventAccumulator(str(folder.tensorboard / "search")).Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


EXPECTED = {
    "search/log_loss": [(n, value * 2) for n, value in enumerate(VALUES) if value is not None],
    "search/value": [(n, value) for n, value in enumerate(VALUES) if value is not None],
    "search/best_value": [(0, 0.5), (1, 0.25), (3, 0.25), (4, 0.125), (5, 0.125), (6, 0.125), (7, 0.03125)],
}


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_results_does_not_show(seed: int, tmp_path: Path) -> None:
    folder, order = RunFolder(tmp_path), list(range(8))
    random.Random(seed).shuffle(order)
    with Scalars(folder, []) as scalars:
        for number in order:
            scalars.take(record(number))
    assert shown(folder) == EXPECTED


@pytest.mark.parametrize("before", [[], [0, 1], [0, 1, 2, 4], [1, 3], list(range(8))])
def test_a_search_that_was_stopped_goes_on_in_the_same_curves(before: list[int], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    first = Scalars(folder, [])
    for number in before:
        first.take(record(number))  # flushed at once: nobody closes it
    for path in (folder.tensorboard / "search").iterdir():  # TensorBoard reads by name: a second, a process, a number
        path.rename(path.with_name("events.out.tfevents.0000000001.host.1.0"))
    with Scalars(folder, [record(number) for number in before]) as scalars:
        for number in set(range(8)) - set(before):
            scalars.take(record(number))
    assert shown(folder) == EXPECTED
