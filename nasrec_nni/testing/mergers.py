"""The suite of mergers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nasrec_nni.architecture.description import Merger, MergerShape
from nasrec_nni.network.build import build_merger
from nasrec_nni.operators.inputs import Limits
from nasrec_nni.testing.cases import randomised
from nasrec_nni.testing.counting import counted_macs, numbers
from nasrec_nni.testing.exporting import check_part
from nasrec_nni.testing.slicing import check_round_trip, check_slices
from nasrec_nni.testing.suite import Conformance, close, draws_nothing, require, suite

WIDTHS, ROWS, EMBEDDINGS = (4, 8, 16, 32, 64, 128), (3, 4, 8, 12), (4, 8, 16)


@dataclass(frozen=True)
class _Case:
    shape: MergerShape
    whole: Limits
    own: Limits
    x: Tensor
    told: str


class Called(nn.Module):
    """A merger with its output width fixed, as an exported network has it."""

    def __init__(self, merger: nn.Module, out: int | None) -> None:
        super().__init__()
        self.merger, self.out = merger, out

    def forward(self, x: Tensor) -> Tensor:
        return self.merger(x) if self.out is None else self.merger(x, self.out)  # type: ignore[no-any-return]


class MergerConformance(Conformance):
    """What a merger must keep; made by `merger_conformance`."""

    group: ClassVar[str] = "mergers"

    @property
    def merger(self) -> Merger:
        return self.load()  # type: ignore[no-any-return]

    def cases(self) -> Iterator[_Case]:
        """Every width with every embedding; rows take turns."""
        for number, (width, embedding) in enumerate((w, e) for e in EMBEDDINGS for w in WIDTHS):
            layer_norm, rows = bool(number % 2), ROWS[number % len(ROWS)]
            whole = Limits({}, {}, 0, max(WIDTHS), embedding, 1, layer_norm, elastic=True)
            own = Limits({}, {}, 0, width, embedding, 1, layer_norm, elastic=False)
            size = (1 + number % 3, width) if self.merger.side == "sparse" else (1 + number % 3, embedding, rows)
            told = f"{self.name} at width {width}, {rows} rows, E {embedding}, layer norm {layer_norm}"
            shape = MergerShape(width, rows, embedding, layer_norm)
            yield _Case(shape, whole, own, torch.randn(*size, dtype=torch.float64), told)

    def run(self, case: _Case) -> Callable[[nn.Module], Tensor]:
        """How a block calls it: a dense→sparse one with `d`, a sparse→dense one with `s` and the width."""
        if self.merger.side == "sparse":
            return lambda module: module(case.x)
        return lambda module: module(case.x, case.shape.width)

    def test_rows_are_those_of_a_side(self) -> None:
        fits = self.merger.rows > 0 if self.merger.side == "sparse" else self.merger.rows == 0
        require(fits, f"{self.name}: it feeds the {self.merger.side} output and adds {self.merger.rows} rows")

    def test_shapes(self) -> None:
        """`[B, D]` to `[B, E, rows]`, or `[B, E, S]` to `[B, D]`; a batch of one included."""
        for case in self.cases():
            found = self.run(case)(self._whole(case))
            wanted = (
                (len(case.x), case.shape.embedding, self.merger.rows)
                if self.merger.side == "sparse"
                else (len(case.x), case.shape.width)
            )
            require(tuple(found.shape) == wanted, f"{case.told}: the output is {tuple(found.shape)}, not {wanted}")

    def test_the_supernets_merger_is_the_networks_with_sliced_weights(self) -> None:
        for case in self.cases():
            check_slices(self._whole(case), self._alone(case), self.run(case), case.told)

    def test_costs_by_the_formulas(self) -> None:
        for case in self.cases():
            module = self._alone(case).eval()
            says, has = self.merger.parameters(case.shape), numbers(module)
            require(says == has, f"{case.told}: `parameters` gives {says}, and the module has {has}")
            one = _Case(case.shape, case.whole, case.own, case.x[:1], case.told)
            macs, counted = self.merger.macs(case.shape), counted_macs(module, self.run(one))
            require(macs == counted, f"{case.told}: `macs` gives {macs}, and a counter finds {counted}")

    def test_repeats_itself_and_rows_stand_alone(self) -> None:
        for case in self.cases():
            module = self._whole(case)
            with draws_nothing(case.told):
                found = [self.run(case)(module.train(mode)) for mode in (True, True, False)]
            require(torch.equal(found[0], found[1]), f"{case.told}: the same call gives another output")
            require(torch.equal(found[0], found[2]), f"{case.told}: training and evaluation differ")
            one = _Case(case.shape, case.whole, case.own, case.x[:1], case.told)
            close(self.run(one)(module), found[0][:1], f"{case.told}: a row depends on the other rows")

    def test_state_goes_through_a_file(self) -> None:
        for case in self.cases():
            check_round_trip(self._whole(case), self._whole(case), self.run(case), case.told)

    def test_export(self) -> None:
        case = next(iter(self.cases()))
        out = None if self.merger.side == "sparse" else case.shape.width
        check_part(Called(self._alone(case).float(), out), torch.cat((case.x, case.x, case.x)).float(), case.told)

    def _whole(self, case: _Case) -> nn.Module:
        return randomised(build_merger(self.name, case.whole))

    def _alone(self, case: _Case) -> nn.Module:
        return build_merger(self.name, case.own).double()


def merger_conformance(name: str) -> type[MergerConformance]:
    """The suite of one merger, registered in `nasrec_nni.mergers`."""
    return suite(MergerConformance, name)
