"""What a search space allows, as a value: sampling and search read it without torch or NNI."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from nasrec_nni.architecture.value import Architecture, Block
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.plugins import registry


@dataclass(frozen=True)
class SpaceDescription:
    """Choices of every block and the constants shared by all networks of the space.

    Block i reads 1..min(`max_connections`, i) of the sources 0..i-1 through `dense` and `sparse`,
    and exactly one each through `left` and `right`.

    Args:
        name: as registered.
        dense_operators: operator plug-ins of the dense half.
        sparse_operators: operator plug-ins of the sparse half.
        blocks: `N`.
        dense_widths: widths `D`, ascending.
        sparse_rows: rows `S`, ascending.
        max_connections: most sources of a list.
        embedding: `E`.
        heads: attention heads, divides `E`.
        dense_to_sparse: merger plug-in that adds rows.
        sparse_to_dense: merger plug-in that adds to the columns.
    """

    name: str
    dense_operators: tuple[str, ...]
    sparse_operators: tuple[str, ...]
    blocks: int = 7
    dense_widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 768, 1024)
    sparse_rows: tuple[int, ...] = (16, 32, 48, 64)
    max_connections: int = 4
    embedding: int = 16
    heads: int = 8
    dense_to_sparse: str = "projection"
    sparse_to_dense: str = "fm"

    def with_sizes(self, **changes: Any) -> SpaceDescription:
        """The same space with other sizes or operators; `None` keeps the space's own.

        Raises:
            UserError: an operator that is unknown or on the wrong side.
        """
        changed = replace(self, **{key: value for key, value in changes.items() if value is not None})
        for side in ("dense", "sparse"):
            for name in getattr(changed, f"{side}_operators"):
                found = registry("operators").load(name).side
                if found != side:
                    raise UserError(
                        f"is a {found} operator", value=name, where=f"space.{side}_operators", allowed=f"a {side} one"
                    )
        if changed.embedding % changed.heads:
            raise UserError(
                "must divide the embedding width",
                value=changed.heads,
                where="space.heads",
                allowed=str(changed.embedding),
            )
        for key in ("dense_operators", "sparse_operators", "dense_widths", "sparse_rows"):
            values = getattr(changed, key)
            if not values or len(set(values)) != len(values):
                raise UserError("must hold at least one value, each once", value=list(values), where=f"space.{key}")
        return replace(
            changed, dense_widths=tuple(sorted(changed.dense_widths)), sparse_rows=tuple(sorted(changed.sparse_rows))
        )

    def check(self, architecture: Architecture) -> None:
        """Raises UserErrors naming every choice that the space does not hold. `None` is allowed (no effect)."""
        found = list(self._problems(architecture))
        if found:
            raise UserErrors(found)

    def _problems(self, architecture: Architecture) -> list[UserError]:
        if len(architecture.blocks) != self.blocks:
            return [UserError("wrong number of blocks", value=len(architecture.blocks), allowed=str(self.blocks))]
        found = []
        for number, block in enumerate(architecture.blocks, 1):
            for field in fields(Block):
                value = getattr(block, field.name)
                allowed = self._allowed(field.name, number, value)
                if value is not None and allowed is not None:
                    found.append(
                        UserError("not in the space", value=value, where=f"block{number}/{field.name}", allowed=allowed)
                    )
        return found

    def _allowed(self, name: str, number: int, value: Any) -> str | None:
        """None if `value` is fine, else what would be."""
        most = min(self.max_connections, number)
        if name in ("dense_connections", "sparse_connections"):
            whole = isinstance(value, tuple) and all(source in range(number) for source in value)
            ok = whole and 1 <= len(set(value)) == len(value) <= most
            return None if ok else f"1 to {most} different sources below {number}"
        choices: tuple[Any, ...] = {
            "dense_operator": self.dense_operators,
            "sparse_operator": self.sparse_operators,
            "dense_width": self.dense_widths,
            "sparse_rows": self.sparse_rows,
            "left": tuple(range(number)),
            "right": tuple(range(number)),
        }.get(name, (True, False))
        return None if value in choices else ", ".join(map(str, choices))
