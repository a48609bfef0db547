"""A cap on table rows and hashed columns do not go together."""

from __future__ import annotations

from collections.abc import Iterator

from nasrec_nni.config import Config
from nasrec_nni.data.schema import Schema
from nasrec_nni.errors import UserError


def hashed_beyond_caps(config: Config, schema: Schema, searches: bool) -> Iterator[UserError]:
    """The hashed columns with more rows than `max_rows_per_field`.

    A cap keeps the first ids of a field, which are the most frequent values of a vocabulary. Ids of a hashed column
    are in no such order: the cap would make one value of most of them, frequent or not.

    Args:
        config: of a run.
        schema: of its prepared set.
        searches: whether a supernet is trained, so that its cap counts.
    """
    caps = {"retrain": config.retrain.max_rows_per_field}
    if searches:
        caps = {"supernet": config.supernet.max_rows_per_field} | caps
    for column in schema.sparse:
        for part, cap in caps.items():
            if column.encoding != "vocabulary" and cap is not None and column.rows > cap:
                yield UserError(
                    f"column {column.name} is hashed into {column.rows} rows, in no order of frequency, so this cap "
                    f"would make one value of all but {cap} of them",
                    value=cap,
                    where=f"{part}.max_rows_per_field",
                    allowed=f"{column.rows} or more",
                    hint=f"Prepare again with --hash-rows {column.name}={cap}, or raise the cap to {column.rows}",
                )
