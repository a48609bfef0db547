"""Several processes on this machine that run one training together, and what became of them."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from nasrec_nni.errors import UserError
from nasrec_nni.threads import set_threads
from nasrec_nni.training.keeper import SIGNALS

GRACE = 15.0  # seconds that the other ranks have to end when one has failed: they may wait for it for ever
PARTING = 5.0  # seconds for a rank that has ended its work to exit
# Libraries that take seconds to load. The server that ranks are forked from loads those which this process has, once
# for all trainings. None of ours: the server sees the folder it is started in before the installed package.
SLOW = ("pytorch_lightning", "nni.nas.strategy")
# Of the server: libraries start no threads, which a fork would lose, and warn of nothing. Ranks get their own back.
CALM = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True)
class Rank:
    """Which of how many processes this one is; rank 0 alone writes files."""

    number: int = 0
    count: int = 1


_here = Rank()


def here() -> Rank:
    """This process's place in the training that it was launched for; the only one, if it was not."""
    return _here


@dataclass(frozen=True)
class _Setting:
    """What a rank has of its parent."""

    port: int
    threads: int
    filters: list[Any]
    environment: dict[str, str]


@dataclass(frozen=True)
class _Failure:
    text: str


@dataclass(frozen=True)
class _Stopped:
    number: int


def launch(work: Callable[..., Any], count: int, **arguments: Any) -> None:
    """Run `work(**arguments)` in so many new processes, and wait for them all.

    In them `here()` says which one it is, and Lightning's environment variables are set, so that a Trainer with a
    strategy for several processes joins its ranks instead of starting any. They share this process's CPU threads, and
    have its environment variables as they are now. `work` and its arguments travel by pickle, each process has
    copies. A process whose parent is killed ends at once.

    SIGINT and SIGTERM are passed on; the processes have a process group of their own, so that a terminal's Ctrl-C does
    not reach them twice.

    Raises:
        UserError: as a rank raised it.
        KeyboardInterrupt, SystemExit: (143) the ranks have stopped on SIGINT, SIGTERM.
        RuntimeError: a rank failed otherwise, with its traceback, or died.
    """
    context = _context()
    payload = pickle.dumps((work, arguments))
    setting = _Setting(_free_port(), max(1, torch.get_num_threads() // count), list(warnings.filters), dict(os.environ))
    processes: list[BaseProcess] = []
    channels: list[Connection] = []
    with _passed_on(processes) as signals:
        for number in range(count):
            own, theirs = context.Pipe()
            process: BaseProcess = context.Process(
                target=_run, args=(Rank(number, count), setting, theirs), daemon=True
            )
            process.start()
            theirs.close()
            processes.append(process)
            channels.append(own)
        try:
            for channel in channels:  # not among the arguments of a process, which it would keep beside its copy
                with suppress(BrokenPipeError, ConnectionResetError):  # it has died: `_outcomes` tells
                    channel.send_bytes(payload)
            del payload
            outcomes = _outcomes(channels)
            if not any(isinstance(outcome, _Failure) for outcome in outcomes):
                for process in processes:  # they tidy up
                    process.join(PARTING)
        finally:
            for process in processes:
                process.kill()
                process.join()
    _judge([outcome for outcome in outcomes if outcome is not None], signals)


def refuse_uneven(rows: int, batch: int, count: int) -> None:
    """Every batch of a training must give each process as many rows.

    Raises:
        UserError: it would not.
    """
    if batch % count:
        where, allowed = "recipe.batch", f"multiples of devices ({count})"
        raise UserError("a batch cannot be split evenly over the processes", value=batch, where=where, allowed=allowed)
    if rows < batch:
        allowed = f"at least a batch ({batch}) with several processes"
        raise UserError("too few training rows", value=rows, where="devices", allowed=allowed, hint="Set devices: 1")


def _judge(outcomes: list[Any], signals: list[int]) -> None:
    """Raise what explains the outcomes: an error, or a signal, which also ends ranks that cannot tell of it yet."""
    for outcome in outcomes:
        if isinstance(outcome, UserError):
            raise outcome
    stops = [outcome.number for outcome in outcomes if isinstance(outcome, _Stopped)]
    if outcomes and (stops or signals):
        if (stops or signals)[0] == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt
    if outcomes:
        raise RuntimeError("a process of the training failed:\n" + "\n".join(outcome.text for outcome in outcomes))


def _outcomes(channels: list[Connection]) -> list[Any]:
    """One a rank, in order: None if it is done."""
    found: list[Any] = [
        _Failure(f"rank {number} was ended: it waited for the others") for number in range(len(channels))
    ]
    waiting = dict(zip(channels, range(len(channels)), strict=True))
    end: float | None = None
    while waiting and (end is None or time.monotonic() < end):
        for channel in wait(list(waiting), None if end is None else max(0.0, end - time.monotonic())):
            assert isinstance(channel, Connection)
            number = waiting.pop(channel)
            try:
                found[number] = channel.recv()
            except (EOFError, ConnectionResetError):
                found[number] = _Failure(f"rank {number} died without a word (killed, or out of memory)")
            if found[number] is not None and end is None:
                end = time.monotonic() + GRACE
    return found


def _run(rank: Rank, setting: _Setting, channel: Connection) -> None:
    """The life of one rank; it shows the warnings that its parent would."""
    global _here
    os.setpgrp()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _here = rank
    os.environ.clear()
    os.environ |= setting.environment | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(setting.port),
        "WORLD_SIZE": str(rank.count),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(rank.number),
        "OMP_NUM_THREADS": str(setting.threads),
    }
    set_threads(setting.threads)
    warnings.filters[:] = setting.filters  # type: ignore[index]
    outcome: Any = None
    try:
        work, arguments = pickle.loads(channel.recv_bytes())
        work(**arguments)
        if dist.is_initialized():
            dist.barrier()
            dist.destroy_process_group()
    except UserError as error:
        outcome = error
    except KeyboardInterrupt:
        outcome = _Stopped(signal.SIGINT)
    except SystemExit:
        outcome = _Stopped(signal.SIGTERM)
    except Exception:
        outcome = _Failure(f"rank {rank.number}: {traceback.format_exc()}")
    channel.send(outcome)


def _context() -> ForkServerContext | SpawnContext:
    """Forks of a server that has the libraries and no threads, state or GPU of this process; new ones elsewhere."""
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in SLOW if name in sys.modules])
    before = {name: os.environ.get(name) for name in CALM}
    os.environ.update(CALM)
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return context


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _passed_on(processes: list[BaseProcess]) -> Iterator[list[int]]:
    """Signals to this process go to the given ones inside the block (in the main thread; else nothing changes).

    Gives the list of those that have come.
    """
    came: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        came.append(number)
        for process in processes:
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, number)

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.signal(number, hand_on) for number in SIGNALS}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
