"""Text without quotes in blocks of whole lines, parsed by all cores, in order.

Arrow's own streaming reader converts one block after the other, and reads 32 blocks ahead that it holds in memory.
Where no quote can hide a line end, any line end is the end of a row, so blocks can be cut and parsed by themselves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

from nasrec_nni.data.sources.opening import ByteStream

T = TypeVar("T")
WAITING = 2  # parsed blocks beside those that are being parsed


class NotPlainError(Exception):
    """This text cannot be cut at its line ends: a quote, no line feed, or a row longer than a block."""


def blocks(stream: ByteStream, size: int, quoted: bool) -> Iterator[bytes]:
    """Whole lines of about `size` bytes.

    Raises:
        NotPlainError: when that is found out; the blocks before it were whole.
    """
    rest = b""
    while data := stream.read(size):
        if quoted and b'"' in data:
            raise NotPlainError
        end = data.rfind(b"\n") + 1
        if not end:
            rest += data
            if len(rest) > size or b"\r" in data:
                raise NotPlainError
            continue
        yield rest + data[:end]
        rest = data[end:]
    if rest:
        yield rest


def in_parallel(items: Iterator[bytes], work: Callable[[int, bytes], T]) -> Iterator[T]:
    """`work` of number and content of each item, in order, by as many threads as Arrow may use.

    An exception of an item comes in its turn; one of the items themselves after all that came before.
    """
    window: deque[Future[T]] = deque()
    raised: list[Exception] = []
    threads = pa.cpu_count()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for number, item in enumerate(_until_raised(items, raised)):
                window.append(pool.submit(work, number, item))
                if len(window) >= threads + WAITING:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            for future in window:
                future.cancel()
    if raised:
        raise raised[0]


def _until_raised(items: Iterator[bytes], raised: list[Exception]) -> Iterator[bytes]:
    try:
        yield from items
    except Exception as error:
        raised.append(error)
