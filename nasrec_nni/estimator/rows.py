"""The rows of a fit on their way into a prepared set: a stratified split, and a Parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nasrec_nni.data.split_names import SPLITS
from nasrec_nni.estimator.columns import Roles


def stratified(codes: NDArray[np.int64], part: float, random: np.random.Generator) -> NDArray[np.int8]:
    """`[n]` split of each row: `part` of each class is validation, as much is test, at least a row each.

    A class of fewer than three rows is all in the training rows.

    Args:
        codes: `[n]` class of each row, 0 or 1.
        part: share of a split.
        random: draws which.

    Raises:
        ValueError: neither class has a row for each split.
    """
    found = np.zeros(len(codes), np.int8)
    for code in (0, 1):
        places = random.permutation(np.flatnonzero(codes == code))
        size = max(1, round(part * len(places))) if len(places) >= len(SPLITS) else 0
        found[places[:size]], found[places[size : 2 * size]] = 1, 2
    if not found.any():
        raise ValueError(
            f"n_samples = {len(codes)} are too few: one of the classes needs {len(SPLITS)} rows, to train, to validate "
            "and to test"
        )
    return found


def write_table(
    path: Path,
    roles: Roles,
    columns: list[Any],
    codes: NDArray[np.int64],
    split: NDArray[np.int8],
    weight: NDArray[np.float64] | None,
) -> dict[str, Any]:
    """Write the rows as Parquet; returns the options of `prepare` with which they are read."""
    numbers, texts = roles.numbers(columns), roles.texts(columns)
    taken = {*numbers, *texts}
    label, part, weighted = (_free(name, taken) for name in ("label", "split", "weight"))
    content: dict[str, Any] = {name: pa.array(values, from_pandas=True) for name, values in numbers.items()}
    content |= texts | {label: pa.array(codes), part: pa.array(np.asarray(SPLITS)[split])}
    options: dict[str, Any] = {
        "label": label,
        "numeric": list(numbers),
        "categorical": list(texts),
        "split": "given",
        "split_column": part,
    }
    if weight is not None:
        content[weighted], options["weight"] = pa.array(weight), weighted
    pq.write_table(pa.table(content), path)
    return options


def _free(name: str, taken: Mapping[str, Any] | set[str]) -> str:
    while name in taken:
        name += "_"
    return name
