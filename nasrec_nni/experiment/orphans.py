"""A process that ends when the one that started it has ended, however that was."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

LOOK = 1.0  # seconds
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """SIGKILL for this process when its parent's thread ends; on Linux only, others have `watch_parent`."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def watch_parent(gone: Callable[[], None]) -> None:
    """Call back once, from another thread, when this process has a new parent."""
    parent = os.getppid()
    _look(lambda: os.getppid() == parent, gone)


def watch_port(url: str, gone: Callable[[], None]) -> None:
    """Call back once, from another thread, when nothing listens at an address any more."""
    at = urlsplit(url)

    def listens() -> bool:
        try:
            with socket.create_connection((at.hostname or "localhost", at.port or 80), timeout=30):
                return True
        except ConnectionRefusedError:
            return False
        except OSError:
            return True  # busy, not gone

    _look(listens, gone)


def _look(well: Callable[[], bool], gone: Callable[[], None]) -> None:
    def watch() -> None:
        while well():
            time.sleep(LOOK)
        gone()

    threading.Thread(target=watch, daemon=True).start()
