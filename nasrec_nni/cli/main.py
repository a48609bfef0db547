"""Entry of the `nasrec` command: find the verb, run it, turn what happens into words or JSON and an exit status.

Exit status: 0 done; 2 the user's input, config or files are wrong; 1 a fault of ours; 130 or 143
interrupted by SIGINT or SIGTERM, state saved.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from nasrec_nni import large_pages
from nasrec_nni.cli.parser import Help, parse
from nasrec_nni.cli.verbs import load
from nasrec_nni.errors import UserError

AGAIN = 5.0  # seconds
# What the user's disk, rights or paths refuse is theirs to mend.
_USERS_ERRNO = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
}


class Interrupted(BaseException):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `nasrec`; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    stdout = sys.stdout
    signals: list[int] = []
    large_pages.ask()
    # NNI says this of two classes of newer torch versions at every import; it is harmless.
    warnings.filterwarnings("ignore", ".*is found to be not a nn.Module.*", RuntimeWarning)
    try:
        # Libraries that print land on stderr, so that stdout carries the result alone.
        with contextlib.redirect_stdout(sys.stderr), _signals_raise(signals):
            status, text = _run(given, as_json, signals)
        if text:
            print(text, file=stdout, flush=True)
    except BrokenPipeError:  # the reader left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        return 0
    return status


def _run(given: list[str], as_json: bool, signals: list[int]) -> tuple[int, str]:
    module: Any = None
    try:
        verb, options = parse(given)
        module = load(verb)
        result = module.run(options)
        status = getattr(module, "status", lambda _: 0)(result)
        return status, json.dumps(result, allow_nan=False) if as_json else module.words(result)
    except Help as shown:
        return 0, json.dumps({"help": shown.text}) if as_json else shown.text
    except UserError as error:
        return _failed(2, error.as_dict(), f"error: {error.message}", as_json)
    except BaseException as error:
        number = _signal(error, signals)
        if number is not None:
            name = signal.Signals(number).name
            state = getattr(module, "INTERRUPTED", "what is done is saved, the same command goes on")
            message = f"interrupted by {name}; {state}"
            return _failed(128 + number, {"message": message, "signal": name}, message, as_json)
        if isinstance(error, BrokenPipeError):
            raise
        if isinstance(error, OSError) and error.errno in _USERS_ERRNO:
            message = f"{error.filename or 'a file'}: {error.strerror}"
            return _failed(2, {"message": message, "where": error.filename}, f"error: {message}", as_json)
        return _fault(error, "--traceback" in given, as_json)


def _signal(error: BaseException, received: list[int]) -> int | None:
    """The signal that ended the work, ours or one that a training has turned into an exception of its own."""
    if received:
        return received[0]
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    if isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM:
        return signal.SIGTERM
    return None


def _failed(status: int, error: dict[str, Any], words: str, as_json: bool) -> tuple[int, str]:
    if as_json:
        return status, json.dumps({"error": {"status": status} | error})
    print(words, file=sys.stderr)
    return status, ""


def _fault(error: BaseException, show: bool, as_json: bool) -> tuple[int, str]:
    text = "".join(traceback.format_exception(error))
    if show:
        print(text, file=sys.stderr)
    descriptor, saved = tempfile.mkstemp(prefix="nasrec-fault-", suffix=".txt")
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    message = f"a fault of nasrec: {type(error).__name__}: {error}"
    return _failed(
        1,
        {"message": message, "traceback": saved},
        f"{message}\nThe traceback is in {saved}; please report it",
        as_json,
    )


@contextlib.contextmanager
def _signals_raise(received: list[int]) -> Iterator[None]:
    """SIGINT and SIGTERM raise and are noted: a library may turn the exception into another one.

    What comes within `AGAIN` seconds of the last one raised does not disturb the saving that it has set off; what
    comes later does raise, since an exception can be lost where Python calls back from C.
    """
    last = float("-inf")

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal last
        received.append(number)
        if time.monotonic() - last > AGAIN:
            last = time.monotonic()
            raise Interrupted(number)

    try:
        previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals are not ours
        yield
        return
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
