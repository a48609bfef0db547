"""Work ahead: same items, same errors, and no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice

import pyarrow as pa
import pytest

from nasrec_nni.data.prefetch import ahead, in_parallel


def test_items_come_in_order_and_the_thread_ends() -> None:
    before = threading.active_count()
    assert list(ahead(range(100))) == list(range(100))
    assert threading.active_count() == before


def test_an_error_comes_where_it_came_up() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    found: list[int] = []
    with pytest.raises(ValueError, match="third"):
        found.extend(ahead(broken()))
    assert found == [1, 2]


def test_a_reader_that_leaves_early_ends_the_thread() -> None:
    before, made = threading.active_count(), []

    def endless() -> Iterator[int]:
        for item in range(10**9):
            made.append(item)
            yield item

    items = ahead(endless())
    assert list(islice(items, 3)) == [0, 1, 2]
    items.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert len(made) < 10


def test_parallel_work_keeps_the_order() -> None:
    def slow_if_even(item: int) -> int:
        if item % 2 == 0:
            time.sleep(0.005)
        return item * item

    assert list(in_parallel(range(40), slow_if_even)) == [item * item for item in range(40)]


def test_parallel_work_raises_in_turn() -> None:
    def refuse_five(item: int) -> int:
        if item == 5:
            raise ValueError("five")
        return item

    found: list[int] = []
    with pytest.raises(ValueError, match="five"):
        found.extend(in_parallel(range(40), refuse_five))
    assert found == [0, 1, 2, 3, 4]

    def broken() -> Iterator[int]:
        yield from range(3)
        raise KeyError("items")

    found.clear()
    with pytest.raises(KeyError, match="items"):
        found.extend(in_parallel(broken(), refuse_five))
    assert found == [0, 1, 2]


def test_parallel_work_takes_few_items_ahead_and_ends_with_its_reader() -> None:
    before, taken = threading.active_count(), []

    def endless() -> Iterator[int]:
        for item in range(10**9):
            taken.append(item)
            yield item

    results = in_parallel(endless(), lambda item: item)
    assert list(islice(results, 3)) == [0, 1, 2]
    assert len(taken) <= 3 + 2 + pa.cpu_count()
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_an_interrupt_while_work_is_closed_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is raised while a generator is collected would be: hence `closing` where one is left early."""

    def interrupted(pool: ThreadPoolExecutor, **given: object) -> None:
        raise KeyboardInterrupt

    def leave_early() -> None:
        with closing(in_parallel(range(99), lambda item: item)) as results:
            next(results)
            monkeypatch.setattr(ThreadPoolExecutor, "shutdown", interrupted)

    with pytest.raises(KeyboardInterrupt):
        leave_early()
