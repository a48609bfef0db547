"""The built-in operators and mergers as facts: what they read, what they cost (SPEC section 10).

No torch here: canonical form and profiler load these. Counts follow the skip rules of SPEC section 2:
a linear map whose input already has the wanted size is absent.
"""

from __future__ import annotations

from nasrec_nni.architecture.description import (
    Merger,
    MergerShape,
    Operator,
    Shape,
    dot_product_rows,
    linear_parameters,
)

MERGER_ROWS = 8


def _fc_parameters(shape: Shape) -> int:
    return linear_parameters(shape.columns, shape.out, shape.layer_norm)


def _sum_macs(shape: Shape) -> int:
    return shape.widest * shape.out if shape.widest != shape.out else 0


def _sum_parameters(shape: Shape) -> int:
    if shape.widest == shape.out:
        return 2 * shape.out if shape.layer_norm else 0
    return linear_parameters(shape.widest, shape.out, shape.layer_norm)


def _sg_macs(shape: Shape) -> int:
    return shape.widest**2 + _sum_macs(shape)


def _sg_parameters(shape: Shape) -> int:
    norm = 2 * shape.out if shape.layer_norm else 0
    output = shape.widest * shape.out + shape.out if shape.widest != shape.out else 0
    return shape.widest**2 + shape.widest + output + norm


def _dp_macs(shape: Shape) -> int:
    k, width = dot_product_rows(shape.out), shape.embedding
    dense = shape.columns * width if shape.columns != width else 0
    sparse = shape.rows * k * width if shape.rows != k else 0
    return dense + sparse + (k + 1) ** 2 * width + k * (k + 1) // 2 * shape.out


def _dp_parameters(shape: Shape) -> int:
    k, width = dot_product_rows(shape.out), shape.embedding
    dense = linear_parameters(shape.columns, width, shape.layer_norm) if shape.columns != width else 0
    sparse = linear_parameters(shape.rows, k, shape.layer_norm) if shape.rows != k else 0
    pairs = k * (k + 1) // 2
    output = linear_parameters(pairs, shape.out, shape.layer_norm)
    if pairs == shape.out:
        output = 2 * shape.out if shape.layer_norm else 0
    return dense + sparse + output


def _efc_macs(shape: Shape) -> int:
    return shape.rows * shape.out * shape.embedding


def _efc_parameters(shape: Shape) -> int:
    return linear_parameters(shape.rows, shape.out, shape.layer_norm)


def _attn_macs(shape: Shape) -> int:
    width = shape.embedding
    return _efc_macs(shape) + shape.out * 6 * width**2 + 2 * shape.out**2 * width


def _attn_parameters(shape: Shape) -> int:
    width = shape.embedding
    return _efc_parameters(shape) + 6 * (width**2 + width) + 4 * width


def _projection_macs(shape: MergerShape) -> int:
    columns = MERGER_ROWS * shape.embedding
    return shape.width * columns if shape.width != columns else 0


def _projection_parameters(shape: MergerShape) -> int:
    columns = MERGER_ROWS * shape.embedding
    return linear_parameters(shape.width, columns, shape.layer_norm) if shape.width != columns else 0


def _fm_macs(shape: MergerShape) -> int:
    return shape.embedding * shape.width if shape.width != shape.embedding else 0


def _fm_parameters(shape: MergerShape) -> int:
    return linear_parameters(shape.embedding, shape.width, shape.layer_norm) if shape.width != shape.embedding else 0


FC = Operator(
    "fc", "dense", frozenset({"dense"}), lambda s: s.columns * s.out, _fc_parameters, "nasrec_nni.operators.fc:FC"
)
DP = Operator(
    "dp", "dense", frozenset({"dense", "sparse"}), _dp_macs, _dp_parameters, "nasrec_nni.operators.dp:DotProduct"
)
SG = Operator(
    "sg", "dense", frozenset({"left", "right"}), _sg_macs, _sg_parameters, "nasrec_nni.operators.sg:SigmoidGating"
)
SUM = Operator(
    "sum",
    "dense",
    frozenset({"left", "right"}),
    _sum_macs,
    _sum_parameters,
    "nasrec_nni.operators.sum:Sum",
    symmetric=True,
)
EFC = Operator("efc", "sparse", frozenset({"sparse"}), _efc_macs, _efc_parameters, "nasrec_nni.operators.efc:EFC")
ATTN = Operator(
    "attn", "sparse", frozenset({"sparse"}), _attn_macs, _attn_parameters, "nasrec_nni.operators.attn:Attention"
)
PROJECTION = Merger(
    "projection",
    "sparse",
    _projection_macs,
    _projection_parameters,
    "nasrec_nni.operators.mergers:Projection",
    MERGER_ROWS,
)
FM = Merger("fm", "dense", _fm_macs, _fm_parameters, "nasrec_nni.operators.mergers:FactorizationMachine")
