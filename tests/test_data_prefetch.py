"""Work ahead: same items, same errors, and no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice

import pytest

from nasrec_nni.data.prefetch import ahead


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
