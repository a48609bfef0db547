"""First stage: the prepared set of a run."""

from __future__ import annotations

from typing import Any

from nasrec_nni.pipeline.context import Context


def prepare_data(context: Context) -> dict[str, Any]:
    """Prepare the raw log into RUN/data, unless the config names a prepared set."""
    from nasrec_nni.data.prepare import prepare

    config = context.config.data
    if config.prepared is None:
        # A set that is there without a finished stage is whole, but made by a command that was stopped after it.
        prepare(
            config.source,
            config.inputs,
            context.folder.data,
            config.options,
            overwrite=True,
            progress=context.progress,
        )
    return {"rows": len(context.prepared.label), "fingerprint": context.prepared.fingerprint}
