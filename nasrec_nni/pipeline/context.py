"""What every stage of one command works with."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.config import Config
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.pipeline.caps import hashed_beyond_caps
from nasrec_nni.pipeline.space import describe
from nasrec_nni.pipeline.tables import too_large
from nasrec_nni.profiling import Sizes
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.threads import set_threads

if TYPE_CHECKING:
    import torch

    from nasrec_nni.pipeline.budget.time_budget import TimeBudget


@dataclass
class Context:
    """Config and folder of a run, and what follows from them.

    Args:
        config: checked.
        folder: locked by this process.
        progress: bars and words on stderr.
        budget: of time; None if there is no limit.
    """

    config: Config
    folder: RunFolder
    progress: bool = True
    budget: TimeBudget | None = None

    def say(self, text: str) -> None:
        """A line for people."""
        if self.progress:
            print(text, file=sys.stderr, flush=True)

    @cached_property
    def prepared(self) -> PreparedSet:
        """The run's prepared set, verified."""
        from pathlib import Path

        named = self.config.data.prepared
        return PreparedSet.load(Path(named) if named is not None else self.folder.data)

    @cached_property
    def space(self) -> SpaceDescription:
        return describe(self.config.space)

    @property
    def device(self) -> torch.device:
        import torch

        name = self.config.device
        return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)

    def sizes(self, layer_norm: bool) -> Sizes:
        """What data and space fix for every network."""
        return Sizes.of(self.space, self.prepared.dense_width, len(self.prepared.rows_per_field), layer_norm)

    @property
    def embedding_bytes(self) -> int:
        """Of the supernet's table, which all candidates share."""
        cap = self.config.supernet.max_rows_per_field
        rows = sum(min(count, cap or count) for count in self.prepared.rows_per_field)
        return rows * self.space.embedding * 4

    def set_threads(self) -> None:
        """As many CPU threads as the config says."""
        if self.config.threads is not None:
            set_threads(self.config.threads)

    def check_data(self) -> None:
        """Refuse, before any training, what the stages to come cannot do with these rows.

        Raises:
            UserError: no sparse field, a split without rows, or AUC asked for where it does not exist.
            UserErrors: hashed columns with more rows than a table may have, or tables for which there is no room.
        """
        prepared = self.prepared
        where = str(prepared.folder)
        if not prepared.rows_per_field:
            raise UserError(
                "has no sparse field, and every network needs one",
                where=where,
                hint="Prepare numeric columns as categories: --categorical COLUMN",
            )
        for split, count in prepared.split_sizes().items():
            if count == 0:
                raise UserError("a split has no rows", value=split, where=where, hint="Prepare it with another --split")
        if beyond := list(hashed_beyond_caps(self.config, prepared.schema, self.config.retrain.top_k > 0)):
            raise UserErrors(beyond)
        if large := list(too_large(self.config, prepared.rows_per_field, self.config.retrain.top_k > 0)):
            raise UserErrors(large)
        needs_auc = [
            where
            for where, figure in (
                *((_key(at), name) for at, name in enumerate(self.config.search.all_objectives)),
                ("supernet.recipe.monitor", self.config.supernet.recipe.monitor),
                ("retrain.recipe.monitor", self.config.retrain.recipe.monitor),
            )
            if figure == "auc"
        ]
        if needs_auc and _one_class(prepared.manifest["splits"]["val"]):
            raise UserError(
                "AUC does not exist on the validation split: all its rows have the same label",
                where=", ".join(needs_auc),
                hint="Use log_loss, or prepare with another --split",
            )


def _key(at: int) -> str:
    return "search.objective" if at == 0 else f"search.objectives[{at}]"


def _one_class(split: Mapping[str, int]) -> bool:
    return split["clicks"] in (0, split["rows"])
