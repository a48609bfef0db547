"""Warm-up: full paths that fade out over the first optimizer steps (SPEC section 5).

Source: NASRec, authors' implementation, which counts forwards; ours counts optimizer steps.
"""

from __future__ import annotations

import numpy as np

from nasrec_nni.architecture.draw import Counts, coin, path_block
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Path
from nasrec_nni.strategies.sampling.distributions import FULL, Distribution


def full_probability(step: int, warmup_steps: int) -> float:
    """`1 - step / warmup_steps` strictly between 0 and `warmup_steps`, else 0 (step 0 included, as the authors)."""
    return 1 - step / warmup_steps if 0 < step < warmup_steps else 0.0


def draw(
    distribution: Distribution,
    space: SpaceDescription,
    generator: np.random.Generator,
    counts: Counts,
    probability: float,
) -> Path:
    """A path whose macro part is full with `probability`, and each block's micro part by its own coin."""
    macro = FULL.macro if coin(generator, probability) else distribution.macro
    macros = [macro(space, number, generator, counts) for number in range(1, space.blocks + 1)]
    blocks = []
    for connections in macros:
        micro = FULL.micro if coin(generator, probability) else distribution.micro
        blocks.append(path_block(connections, micro(space, generator, counts)))
    return Path(tuple(blocks))
