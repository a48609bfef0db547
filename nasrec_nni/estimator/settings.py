"""The config of a fit, scaled to its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SIZES = {"blocks": 4, "dense_widths": [16, 32, 64, 128], "sparse_rows": [8, 16, 24]}
STEPS = 600  # of a training, which the epochs come to
BATCHES = 20  # of an epoch, which the batch comes to
BATCH, EPOCHS = (16, 1024), (3, 40)
LEARNING_RATE = 3e-3  # of `bars`: fewer steps than it is made for


def batch_of(rows: int) -> int:
    """A power of two, about a twentieth of the training rows."""
    power: int = 2 ** max(0, round(math.log2(max(1, rows) / BATCHES)))
    return min(max(power, BATCH[0]), BATCH[1])


def epochs_of(rows: int) -> int:
    """Most passes over the rows, so that there are about 600 steps."""
    return min(max(math.ceil(STEPS * batch_of(rows) / max(1, rows)), EPOCHS[0]), EPOCHS[1])


def config_of(
    rows: int,
    *,
    seed: int,
    space: str | Mapping[str, Any],
    recipe: str | Mapping[str, Any],
    candidates: int,
    top_k: int,
    baselines: tuple[str, ...],
    device: str,
    threads: int | None,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """What `nasrec run` would read from a file.

    Args:
        rows: training rows.
        seed: of all draws.
        space: a name, which stands for a small one of that kind, or the section `space` of a config.
        recipe: a preset, or the section `recipe` of a config.
        candidates: architectures to score.
        top_k: to retrain.
        baselines: trained beside them.
        device: as in a config.
        threads: as in a config.
        more: further keys of a config, which win.
    """
    named = {"preset": recipe} if isinstance(recipe, str) else {"preset": "bars", **recipe}
    scaled: dict[str, Any] = {"batch": batch_of(rows), "epochs": epochs_of(rows), "schedule": "cosine"}
    if named["preset"] == "bars":
        scaled["learning_rate"] = LEARNING_RATE
    population = {"options": {"population": max(2, candidates // 4)}} if candidates > 2 else {"algorithm": "random"}
    if "algorithm" in more.get("search", {}):  # whose options are the caller's
        population = {}
    content: dict[str, Any] = {
        "seed": seed,
        "threads": threads,
        "device": device,
        "space": {"name": space, **SIZES} if isinstance(space, str) else dict(space),
        "supernet": {"recipe": {**scaled, **named}, "warmup": 0.05},
        "search": {"candidates": candidates, **population},
        "retrain": {
            "top_k": top_k,
            "seeds": [seed],
            "baselines": list(baselines),
            "recipe": {**scaled, **named},
        },
    }
    return merged(content, more)


def merged(content: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both, mappings within them too; where both have a value, that of `more`."""
    found = dict(content)
    for key, value in more.items():
        inner = found.get(key)
        both = isinstance(value, Mapping) and isinstance(inner, Mapping)
        found[key] = merged(inner, value) if both and inner is not None and isinstance(value, Mapping) else value
    return found
