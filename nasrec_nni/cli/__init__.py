"""The `nasrec` command."""

from __future__ import annotations

from nasrec_nni.cli.main import main

__all__ = ["main"]
