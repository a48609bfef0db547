"""Standalone networks of architectures and paths."""

from __future__ import annotations

from nasrec_nni.network.network import NASRecNetwork, TableSettings, copy_slices

__all__ = ["NASRecNetwork", "TableSettings", "copy_slices"]
