"""The operator my-operator: its description, which needs no torch."""

from __future__ import annotations

from nasrec_nni.authoring import Operator, Shape, linear_parameters


def macs(shape: Shape) -> int:
    """Multiply-accumulates of one example."""
    return shape.columns * shape.out


def parameters(shape: Shape) -> int:
    """Numbers in the module's weights."""
    return linear_parameters(shape.columns, shape.out, shape.layer_norm)


MY_OPERATOR = Operator(
    name="my-operator",
    side="dense",
    reads=frozenset({"dense"}),
    macs=macs,
    parameters=parameters,
    target="nasrec_my_operator.module:MyOperator",
)
