"""Several cores, one order: work ahead in a thread of its own, or on several items at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

import pyarrow as pa

T = TypeVar("T")
S = TypeVar("S")
DEPTH = 2  # items that wait; more would only take memory
THREADS = 8  # at most: they keep busy the one that takes their results, and each holds an item in memory
PATIENCE = 0.1  # seconds between two looks at whether the reader has gone


def ahead(items: Iterable[T], depth: int = DEPTH) -> Iterator[T]:
    """The same items in the same order; an exception comes where it came up. A reader that leaves ends the thread."""
    queue: Queue[tuple[bool, T | BaseException | None]] = Queue(depth)
    left = Event()

    def put(done: bool, item: T | BaseException | None) -> bool:
        while not left.is_set():
            try:
                queue.put((done, item), timeout=PATIENCE)
                return True
            except Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(False, item):
                    return
            put(True, None)
        except BaseException as error:
            put(True, error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            try:
                done, item = queue.get(timeout=1)
            except Empty:  # so that Ctrl-C is heard
                continue
            if done:
                if isinstance(item, BaseException):
                    raise item
                return
            yield item  # type: ignore[misc]
    finally:
        left.set()
        thread.join()


def in_parallel(items: Iterable[S], work: Callable[[S], T]) -> Generator[T, None, None]:
    """`work` of each item, in order, by as many threads as Arrow may use, up to `THREADS`.

    It is for work that frees the interpreter. Only a few items more than threads are under way. An exception of
    `work` comes in its turn, one of the items themselves after the results of all before it.
    """
    window: deque[Future[T]] = deque()
    raised: list[Exception] = []
    threads = min(THREADS, pa.cpu_count())
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in _until_raised(items, raised):
                window.append(pool.submit(work, item))
                if len(window) >= threads + DEPTH:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            for future in window:
                future.cancel()
    if raised:
        raise raised[0]


def _until_raised(items: Iterable[S], raised: list[Exception]) -> Iterator[S]:
    try:
        yield from items
    except Exception as error:
        raised.append(error)
