"""Work ahead: an iterator runs in a thread of its own, a few items before its reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")
DEPTH = 2  # items that wait; more would only take memory
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
