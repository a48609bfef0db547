"""Text without quotes in blocks of whole lines, which all cores can parse.

Arrow's own streaming reader converts one block after the other, and reads 32 blocks ahead that it holds in memory.
Where no quote can hide a line end, any line end is the end of a row, so blocks can be cut and parsed by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from nasrec_nni.data.sources.opening import ByteStream


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
