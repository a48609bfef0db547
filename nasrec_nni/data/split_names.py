"""Names of the splits and of the rules that make them."""

from __future__ import annotations

from typing import Literal

SplitName = Literal["random", "nasrec", "permutation", "in_order", "given", "by_time", "k_fold"]
SPLITS = ("train", "val", "test")
LEFT_OUT = len(SPLITS)  # part of a row that no split has
