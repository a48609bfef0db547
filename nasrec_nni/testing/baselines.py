"""The suite of hand-made models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from nasrec_nni.baselines.cost import count
from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.errors import UserError
from nasrec_nni.testing.cases import randomised
from nasrec_nni.testing.exporting import check_export, check_onnx
from nasrec_nni.testing.slicing import check_round_trip
from nasrec_nni.testing.suite import Conformance, close, draws_nothing, require, suite

ROWS, DENSE = (7, 3, 11, 4), 3
SETTINGS = BaselineSettings(embedding=8, embedding_init=0.5, sparse_gradients=False, hidden=(6, 4), cross_layers=2)


class BaselineConformance(Conformance):
    """What a hand-made model must keep; made by `baseline_conformance`."""

    group: ClassVar[str] = "baselines"
    onnx: ClassVar[bool] = True

    def build(self, settings: BaselineSettings = SETTINGS, dense: int = DENSE, **options: Any) -> nn.Module:
        model = self.load()(dense, ROWS, settings, **options)
        require(isinstance(model, nn.Module), f"{self.name}: it builds {type(model).__name__}, no torch module")
        return model  # type: ignore[no-any-return]

    def test_logits_of_any_batch(self) -> None:
        """`[B]`, finite; with the one column of zeros that stands in where a log has no number, too."""
        for dense in (1, DENSE):
            model = self.build(dense=dense)
            for size in (1, 6):
                found = model(*_batch(size, dense))
                told = f"{self.name}: the output is {tuple(found.shape)}, not ({size},)"
                require(tuple(found.shape) == (size,), told)
                require(bool(found.isfinite().all()), f"{self.name}: the output is not finite")

    def test_every_weight_has_a_gradient(self) -> None:
        model = randomised(self.build())
        model(_batch(6)[0].double(), _batch(6)[1]).square().sum().backward()
        for key, weight in model.named_parameters():
            require(weight.grad is not None, f"{self.name}: {key} has no gradient, so it is never trained")
            require(bool(weight.grad.isfinite().all()), f"{self.name}: the gradient of {key} is not finite")  # type: ignore[union-attr]

    def test_a_row_does_not_see_the_others(self) -> None:
        model = randomised(self.build()).eval()
        dense, ids = _batch(6)
        whole = model(dense.double(), ids)
        for row in range(6):
            alone = model(dense[row : row + 1].double(), ids[row : row + 1])
            close(alone, whole[row : row + 1], f"{self.name}: a row depends on the other rows")

    def test_repeats_itself(self) -> None:
        """Equal seeds give equal weights; without dropout a run draws nothing and training is evaluation."""
        states = []
        for _ in range(2):
            torch.manual_seed(3)
            states.append(self.build().state_dict())
        for key, weight in states[0].items():
            require(torch.equal(weight, states[1][key]), f"{self.name}: {key} starts differently at the same seed")
        model, rows = self.build(replace(SETTINGS, dropout=0.0)), _batch(6)
        with draws_nothing(self.name):
            found = [model.train(mode)(*rows) for mode in (True, False, False)]
        require(torch.equal(found[1], found[2]), f"{self.name}: the same call gives another output")
        close(found[0], found[1], f"{self.name}: training and evaluation differ", rtol=1e-6, atol=1e-6)

    def test_tables_have_sparse_gradients_on_request(self) -> None:
        """A table of a large log cannot have a gradient of its own size at every step."""
        from nasrec_nni.operators.embedding import FusedEmbedding

        model = self.build(replace(SETTINGS, sparse_gradients=True))
        model(*_batch(5)).sum().backward()
        tables = [part for part in model.modules() if isinstance(part, (FusedEmbedding, nn.Embedding))]
        require(bool(tables), f"{self.name}: no FusedEmbedding (nasrec_nni.authoring) and no nn.Embedding")
        for table in tables:
            gradient = table.weight.grad
            require(gradient is not None and gradient.is_sparse, f"{self.name}: a table's gradient is not sparse")

    def test_several_values_of_a_field(self) -> None:
        """`lengths`: a field with padding behind its one value is that value."""
        model = self.build(replace(SETTINGS, lengths=(1, 1, 3, 1)))
        single = self.build()
        model.load_state_dict(single.state_dict())
        dense, ids = _batch(6)
        padded = torch.cat((ids[:, :3], torch.full((6, 2), -1), ids[:, 3:]), 1)
        told = f"{self.name}: padding of a multi-valued field changes the output"
        close(model.eval()(dense, padded), single.eval()(dense, ids), told, rtol=1e-5, atol=1e-6)

    def test_unknown_options_are_refused(self) -> None:
        with pytest.raises(UserError, match="surely_unknown"):
            self.build(surely_unknown=1)

    def test_costs_can_be_counted(self) -> None:
        found = count(self.build(), DENSE, len(ROWS))
        require(found.macs >= 0 and found.parameters > 0, f"{self.name}: its costs are {found}")

    def test_state_goes_through_a_file(self) -> None:
        rows = _batch(5)
        check_round_trip(
            randomised(self.build()).float().eval(), self.build().eval(), lambda model: model(*rows), self.name
        )

    def test_export(self) -> None:
        check_export(self.build().eval(), _batch(3), self.name)

    def test_onnx(self) -> None:
        if self.onnx:
            check_onnx(self.build().eval(), _batch(3), self.name)


def baseline_conformance(name: str, *, onnx: bool = True) -> type[BaselineConformance]:
    """The suite of one hand-made model.

    Args:
        name: as registered in `nasrec_nni.baselines`.
        onnx: whether to try ONNX Runtime, which takes some seconds; it is skipped where it is not installed.
    """
    return suite(BaselineConformance, name, onnx=onnx)


def _batch(size: int, dense: int = DENSE) -> tuple[Tensor, Tensor]:
    ids = torch.stack([torch.randint(rows, (size,)) for rows in ROWS], 1)
    return torch.randn(size, dense), ids
