"""What a search minimises, as plug-in values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from nasrec_nni.errors import UserError


class Scored(Protocol):
    """What an evaluation says of one architecture."""

    @property
    def log_loss(self) -> float: ...

    @property
    def auc(self) -> float | None: ...


@dataclass(frozen=True)
class Objective:
    """One figure of a score.

    Args:
        name: as registered in `nasrec_nni.objectives`.
        minimise: whether the smaller figure is the better one.
        figure: attribute of the score.
    """

    name: str
    minimise: bool
    figure: Literal["log_loss", "auc"]

    def value(self, score: Scored) -> float:
        """The figure, turned so that lower is better.

        Raises:
            UserError: the figure does not exist for these rows (AUC of a single class).
        """
        found = getattr(score, self.figure)
        if found is None:
            raise UserError(
                f"{self.name} does not exist on the validation rows: all have the same label",
                where="search.objective",
                hint="Use log_loss, or a validation split with clicks and non-clicks",
            )
        return float(found) if self.minimise else -float(found)


LOG_LOSS = Objective("log_loss", True, "log_loss")
AUC = Objective("auc", False, "auc")
