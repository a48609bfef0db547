"""Stratified folds, a byte a row: the same folds as scikit-learn's, which takes forty bytes a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified_folds(labels: NDArray[np.uint8], folds: int, seed: int) -> NDArray[np.int8]:
    """`[N]` fold of every row, as `StratifiedKFold(folds, shuffle=True, random_state=seed)` deals them.

    The rows of a class are dealt out in turn as if the labels were sorted, each class in a shuffled order; the class
    of the first row comes first.

    Args:
        labels: `[N]` 0 or 1.
        folds: at most 127.
        seed: of numpy's legacy generator.
    """
    random = np.random.RandomState(seed)
    found = np.empty(len(labels), np.int8)
    first = int(labels[0])
    sizes = [int(np.count_nonzero(labels == value)) for value in (first, 1 - first)]
    for value, begin, size in zip((first, 1 - first), (0, sizes[0]), sizes, strict=True):
        # place p of the sorted labels belongs to fold p mod folds
        per_fold = [len(range(begin + (fold - begin) % folds, begin + size, folds)) for fold in range(folds)]
        dealt = np.repeat(np.arange(folds, dtype=np.int8), per_fold)
        random.shuffle(dealt)
        found[labels == value] = dealt
    return found
