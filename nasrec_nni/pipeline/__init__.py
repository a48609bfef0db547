"""The stages of a run. Import its modules by name: checking a config must not load torch."""

from __future__ import annotations
