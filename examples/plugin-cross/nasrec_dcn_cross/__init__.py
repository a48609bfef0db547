"""The cross layer of DCN-V2 as a dense operator: its description, which needs no torch."""

from __future__ import annotations

from nasrec_nni.authoring import Operator, Shape, linear_parameters


def macs(shape: Shape) -> int:
    """The map to D columns, and the square one of the cross."""
    return shape.columns * shape.out + shape.out**2


def parameters(shape: Shape) -> int:
    """Their weights, the biases, and the layer norm behind the first map."""
    return linear_parameters(shape.columns, shape.out, shape.layer_norm) + shape.out**2 + shape.out


DCN_CROSS = Operator(
    name="dcn-cross",
    side="dense",
    reads=frozenset({"dense"}),
    macs=macs,
    parameters=parameters,
    target="nasrec_dcn_cross.module:Cross",
)
