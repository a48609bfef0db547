"""Fields that hold several values a row: what to look up, and the means of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn


class MultiValued(nn.Module):
    """Fields with one or several columns of ids, as one flat list of look-ups, so that a table has one gradient.

    ```
    ids [B, C] ─┬─ single-valued fields, all ─────────┬─ select [K] ─ table [K, E] ─┬─ as they are ──┬─ merge [B, F, E]
                └─ multi-valued fields, without -1 ───┘                             └─ mean a field ─┘
    ```

    Args:
        lengths: columns of each field, `C` in all.
    """

    single: Tensor
    several: Tensor
    bags: Tensor

    def __init__(self, lengths: Sequence[int]) -> None:
        super().__init__()
        self.lengths = tuple(lengths)
        self.multi = sum(length > 1 for length in lengths)
        # neighbouring fields of one kind, in order: the fewest pieces that a batch is put together from
        self.runs = [(kind, len(list(run))) for kind, run in groupby(length > 1 for length in lengths)]
        kinds = torch.tensor([length > 1 for length in lengths])
        fields = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
        self.register_buffer("single", (~kinds[fields]).nonzero().flatten(), persistent=False)
        self.register_buffer("several", kinds[fields].nonzero().flatten(), persistent=False)
        self.register_buffer("bags", (kinds.cumsum(0) - 1)[fields[self.several]], persistent=False)

    def select(self, rows: Tensor, ids: Tensor) -> Tensor:
        """The table rows to look up, `[K]`: of `rows [B, C]` those whose id is a value."""
        return torch.cat((rows[:, self.single].flatten(), rows[:, self.several][ids[:, self.several] >= 0]))

    def means(self, found: Tensor, ids: Tensor) -> Tensor:
        """The same from a look-up of every column, padding included, `[B, C, E]`: `[B, F, E]`.

        What a traced program does: the shapes of its tensors must not depend on the values in them.
        """
        present = (ids >= 0).unsqueeze(2).to(found.dtype)
        columns = zip(
            torch.split(found, list(self.lengths), 1), torch.split(present, list(self.lengths), 1), strict=True
        )
        pieces = [
            values if values.shape[1] == 1 else (values * there).sum(1, True) / there.sum(1, True).clamp(min=1)
            for values, there in columns
        ]
        return torch.cat(pieces, 1)

    def merge(self, found: Tensor, ids: Tensor) -> Tensor:
        """What was looked up, `[K, E]`, as one embedding a field, `[B, F, E]`; zeros for a field without a value."""
        batch, width = len(ids), found.shape[1]
        singles, values = found.tensor_split([batch * len(self.single)])
        first = torch.arange(batch, device=ids.device).unsqueeze(1) * self.multi
        bag = (first + self.bags)[ids[:, self.several] >= 0]
        sizes = torch.bincount(bag, minlength=batch * self.multi).clamp(min=1).unsqueeze(1)
        means = values.new_zeros(batch * self.multi, width).index_add(0, bag, values) / sizes
        pieces = {
            kind: iter(torch.split(part.view(batch, fields, width), [n for k, n in self.runs if k is kind], 1))
            for kind, part, fields in ((False, singles, len(self.single)), (True, means, self.multi))
            if fields
        }
        return torch.cat([next(pieces[kind]) for kind, _ in self.runs], 1)
