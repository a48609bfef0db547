"""A made-up search with two objectives whose Pareto front is known: ZDT1 on architectures.

    x   how wide: mean over blocks of the live dense width's place in the list, 0 to 1          -> cost = x
    g   1 + 3 * how far the other choices are from a hidden network, mean over blocks, 0 to 1   -> loss = g - sqrt(g x)

Loss falls with x and rises with g, so the front is loss = 1 - sqrt(cost), reached by the hidden network at every
width. What is computed is the canonical form, as everywhere: a dead half is as far from the hidden one as can be.

Source: ZDT1 is Zitzler, Deb, Thiele (Evolutionary Computation 2000); architectures as its variables are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nasrec_nni.architecture.draw import coin, pick, stream
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Block
from nasrec_nni.strategies.search import Evaluation

SPACE = SpaceDescription("nasrec-full", ("fc", "dp", "sg", "sum"), ("attn", "efc"), blocks=5)
REFERENCE = (2.0, 1.1)  # loss, cost: from here the hypervolume is counted


@dataclass(frozen=True)
class KnownFront:
    """One hidden network; blocks in a chain, so that all of it is alive.

    Args:
        space: with `fc` and `dp` among its dense operators.
        seed: of the hidden choices.
    """

    space: SpaceDescription = SPACE
    seed: int = 0

    def hidden(self, number: int) -> Block:
        """Block `number` of the hidden network, with the smallest width."""
        generator = stream(self.seed, "hidden", number)
        last = (number - 1,)
        return Block(
            pick(("fc", "dp"), generator),
            min(self.space.dense_widths),
            pick(self.space.sparse_operators, generator),
            pick(self.space.sparse_rows, generator),
            last,
            last,
            0,
            0,
            coin(generator),
            coin(generator),
        )

    def point(self, architecture: Architecture) -> tuple[float, float]:
        """Loss and cost."""
        blocks, widths = architecture.canonical.blocks, sorted(self.space.dense_widths)
        live = [0 if block.dense_width is None else widths.index(block.dense_width) for block in blocks]
        cost = sum(live) / (len(blocks) * (len(widths) - 1))
        off = sum(_off(block, self.hidden(number)) for number, block in enumerate(blocks, 1)) / len(blocks)
        g = 1 + 3 * off
        return g - math.sqrt(g * cost), cost

    def evaluate(self, architecture: Architecture) -> Evaluation:
        """Both, as a search takes them; the loss is the first."""
        point = self.point(architecture)
        return Evaluation(point[0], round(1e6 * point[1]), {}, point)

    def front(self) -> list[tuple[float, float]]:
        """All of the true front, by rising cost."""
        steps = self.space.blocks * (len(self.space.dense_widths) - 1)
        return [(1 - math.sqrt(step / steps), step / steps) for step in range(steps + 1)]


def _off(block: Block, hidden: Block) -> float:
    """0 for the hidden choices to 1, widths apart."""
    same = ("dense_operator", "sparse_operator", "sparse_rows", "dense_to_sparse", "sparse_to_dense")
    wrong = [float(getattr(block, key) != getattr(hidden, key)) for key in same]
    for key in ("dense_connections", "sparse_connections"):
        one, other = set(getattr(block, key) or ()), set(getattr(hidden, key))
        wrong.append(1 - len(one & other) / len(one | other))
    return sum(wrong) / len(wrong)
