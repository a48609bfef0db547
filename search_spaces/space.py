"""NASRec spaces as NNI model spaces; mutated by a one-shot strategy the same object is the supernet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor, nn

from nasrec_nni.architecture.canonical import canonical_path, liveness
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Path
from nasrec_nni.network import NASRecNetwork, TableSettings, copy_slices
from nasrec_nni.network.build import space_head
from nasrec_nni.network.network import last_block
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes
from nasrec_nni.search_spaces.block import ChoiceBlock, SuperBlock
from nasrec_nni.search_spaces.samples import from_sample


class NASRecSpace(ModelSpace):  # type: ignore[misc]
    """N choice blocks between an embedding table and a linear head.

    Args:
        dense: `w_0`, dense input columns (1 where a column of zeros stands in).
        rows_per_field: table rows of each of the `F` fields.
        space: a registered search space; the class's own if `None`.
        layer_norm: layer norm behind linear maps.
        sparse_gradients: table gradients of the touched rows only.
        embedding_init: `xavier` or a standard deviation.
        max_rows_per_field: cap of a field's table.
        dropout: on the output of dense operators while training (ours).
        lengths: columns of ids of each field, None for one a field.
        sizes: what `SpaceDescription.with_sizes` takes (blocks, dense_widths, embedding, …).

    `freeze(sample)` gives the plain network of the sample: with sliced weights once the space has become a
    supernet, with fresh ones before. Arguments are plain values, so that NNI can rebuild the space.
    """

    space_name: ClassVar[str] = "nasrec-small"

    def __init__(
        self,
        *,
        dense: int,
        rows_per_field: Sequence[int],
        space: str | None = None,
        layer_norm: bool = True,
        sparse_gradients: bool = True,
        embedding_init: Literal["xavier"] | float = "xavier",
        max_rows_per_field: int | None = None,
        dropout: float = 0.0,
        lengths: Sequence[int] | None = None,
        **sizes: Any,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.description = self.describe(space, sizes)
        self.sizes = Sizes.of(self.description, dense, len(rows_per_field), layer_norm)
        self.table = _table(rows_per_field, sparse_gradients, embedding_init, max_rows_per_field, lengths)
        self.embedding = self.table.build(self.description.embedding)
        numbers = range(1, self.description.blocks + 1)
        self.blocks = nn.ModuleList(ChoiceBlock(number, self.description, self.sizes) for number in numbers)
        self.head = space_head(self.description, self.sizes)

    @classmethod
    def describe(cls, space: str | None, sizes: dict[str, Any]) -> SpaceDescription:
        """The registered description with the given sizes."""
        description: SpaceDescription = registry("search_spaces").load(space or cls.space_name)
        return description.with_sizes(**sizes)

    @classmethod
    def create_fixed_module(
        cls,
        sample: dict[str, Any],
        *,
        dense: int,
        rows_per_field: Sequence[int],
        space: str | None = None,
        layer_norm: bool = True,
        sparse_gradients: bool = True,
        embedding_init: Literal["xavier"] | float = "xavier",
        max_rows_per_field: int | None = None,
        dropout: float = 0.0,
        lengths: Sequence[int] | None = None,
        **sizes: Any,
    ) -> nn.Module:
        """What NNI builds inside `model_context(sample)`: the plain network, fresh weights."""
        description = cls.describe(space, sizes)
        table = _table(rows_per_field, sparse_gradients, embedding_init, max_rows_per_field, lengths)
        sizes_ = Sizes.of(description, dense, len(rows_per_field), layer_norm)
        return NASRecNetwork(from_sample(sample, description), sizes_, table, dropout)

    def extra_oneshot_hooks(self, strategy: object) -> list[Any]:
        """How any one-shot strategy of NNI turns this space into a supernet."""
        return [SuperBlock.mutate]

    @property
    def is_supernet(self) -> bool:
        """Whether a one-shot strategy has mutated the space."""
        return isinstance(self.blocks[0], SuperBlock)

    def activate(self, path: Path) -> None:
        """Run this path from now on (supernet only)."""
        for block, choice in zip(self._super_blocks, path.blocks, strict=True):
            block.current = choice

    @property
    def active_path(self) -> Path:
        """The path that `forward` runs: the activated one, or NNI's default sample of an unmutated space."""
        if not self.is_supernet:
            sample: dict[str, Any] = {}
            for mutable in self.simplify().values():
                mutable.default(sample)
            return from_sample(sample, self.description).path
        current = tuple(block.current for block in self._super_blocks if block.current is not None)
        if len(current) < len(self.blocks):
            raise RuntimeError("no path is active: call activate(path) or resample first")
        return Path(current)

    @property
    def _super_blocks(self) -> list[SuperBlock]:
        return [block for block in self.blocks if isinstance(block, SuperBlock)]

    def freeze(self, sample: dict[str, Any]) -> NASRecNetwork:
        """The plain network of a sample."""
        return self.network(from_sample(sample, self.description))

    def network(self, network: Architecture | Path) -> NASRecNetwork:
        """The plain network of an architecture or path; sliced weights if this is a supernet."""
        found = NASRecNetwork(network, self.sizes, self.table, self.dropout).to(
            self.embedding.weight.device, self.embedding.weight.dtype
        )
        if self.is_supernet:
            copy_slices(dict(self.named_parameters()), found)
        return found

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`dense [B, w_0]`, ids `sparse [B, C]` to logits `[B]` of the active path."""
        path = canonical_path(self.active_path)
        dropout = self.dropout if self.training else 0.0
        return self.head(*last_block(self, path, liveness(path), dense, sparse, dropout))  # type: ignore[no-any-return]


class NASRecSmall(NASRecSpace):
    """FC and dot product; EFC (`autoctr` of the authors)."""

    space_name = "nasrec-small"


class NASRecFull(NASRecSpace):
    """FC, dot product, gating, sum; attention, EFC (`xlarge` of the authors)."""

    space_name = "nasrec-full"


class NASRecPlus(NASRecSpace):
    """NASRec-Full and the operators of today's leaders: cross, field-aware product, gated fusion; bilinear (ours)."""

    space_name = "nasrec-plus"


def _table(
    rows_per_field: Sequence[int],
    sparse_gradients: bool,
    init: Literal["xavier"] | float,
    cap: int | None,
    lengths: Sequence[int] | None,
) -> TableSettings:
    columns = None if lengths is None else tuple(lengths)
    return TableSettings(tuple(rows_per_field), sparse_gradients, init, cap, columns)
