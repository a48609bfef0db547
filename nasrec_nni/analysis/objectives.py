"""What a search minimises, as plug-in values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nasrec_nni.errors import UserError

Figure = Literal["log_loss", "auc", "live_macs", "live_parameters", "embedding_bytes", "latency_ms"]


@dataclass(frozen=True)
class Objective:
    """One figure of a candidate.

    Args:
        name: as registered in `nasrec_nni.objectives`.
        minimise: whether the smaller figure is the better one.
        figure: attribute of what is known of a candidate. MACs and latency are per example and per batch of
            `search.latency_batch` rows; a plug-in may name any figure, and turn it by a subclass of its own.
        measured: by a clock. No sequence of candidates that depends on it can be had again.
    """

    name: str
    minimise: bool
    figure: Figure
    measured: bool = False

    def value(self, figures: object) -> float:
        """The figure, turned so that lower is better.

        Args:
            figures: has it as an attribute; None stands for one that does not exist.

        Raises:
            UserError: it does not exist (AUC of a single class).
        """
        found = getattr(figures, self.figure)
        if found is None and self.figure == "auc":
            raise UserError(
                f"{self.name} does not exist on the validation rows: all have the same label",
                where="search.objective",
                hint="Use log_loss, or a validation split with clicks and non-clicks",
            )
        if found is None:
            raise UserError(f"{self.name} was not measured", where="search.objectives")
        return float(found) if self.minimise else -float(found)


LOG_LOSS = Objective("log_loss", True, "log_loss")
AUC = Objective("auc", False, "auc")
LIVE_MACS = Objective("live_macs", True, "live_macs")
LIVE_PARAMETERS = Objective("live_parameters", True, "live_parameters")
EMBEDDING_BYTES = Objective("embedding_bytes", True, "embedding_bytes")  # one table: the same for all of a run
LATENCY_MS = Objective("latency_ms", True, "latency_ms", measured=True)
