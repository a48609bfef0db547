"""The operators that NASRec-Plus adds, as facts: those of today's leading models, made elastic (ours).

No torch here. Matrix products are counted, as for the other operators; their maps are never skipped.
"""

from __future__ import annotations

from nasrec_nni.architecture.description import Operator, Shape, dot_product_rows, linear_parameters


def _pairs(shape: Shape) -> int:
    k = dot_product_rows(shape.out)
    return k * (k + 1) // 2


def _streams_macs(shape: Shape) -> int:
    """Dense sources to D, sparse sources through k rows to D, and a square map of D."""
    k = dot_product_rows(shape.out)
    sparse = shape.rows * k * shape.embedding + k * shape.embedding * shape.out
    return shape.columns * shape.out + sparse + shape.out**2


def _streams_parameters(shape: Shape) -> int:
    k = dot_product_rows(shape.out)
    maps = ((shape.columns, shape.out), (shape.rows, k), (k * shape.embedding, shape.out))
    return sum(linear_parameters(*one, shape.layer_norm) for one in maps) + shape.out**2 + shape.out


def _cross_parameters(shape: Shape) -> int:
    return _streams_parameters(shape) + (2 * shape.out if shape.layer_norm else 0)


def _fap_macs(shape: Shape) -> int:
    mixing = shape.rows * (dot_product_rows(shape.out) + 1) * shape.embedding
    return mixing + _pairs(shape) * (shape.embedding**2 + shape.out)


def _fap_parameters(shape: Shape) -> int:
    mixing = linear_parameters(shape.rows, dot_product_rows(shape.out) + 1, shape.layer_norm)
    return mixing + _pairs(shape) * shape.embedding**2 + linear_parameters(_pairs(shape), shape.out, shape.layer_norm)


def _bilinear_macs(shape: Shape) -> int:
    return 2 * shape.rows * shape.out * shape.embedding + shape.out * shape.embedding**2


def _bilinear_parameters(shape: Shape) -> int:
    return 2 * linear_parameters(shape.rows, shape.out, shape.layer_norm) + shape.embedding**2


CROSS = Operator(
    "cross",
    "dense",
    frozenset({"dense", "sparse"}),
    _streams_macs,
    _cross_parameters,
    "nasrec_nni.operators.cross:Cross",
)
GATE = Operator(
    "gate",
    "dense",
    frozenset({"dense", "sparse"}),
    _streams_macs,
    _streams_parameters,
    "nasrec_nni.operators.gate:GatedFusion",
)
FAP = Operator(
    "fap",
    "dense",
    frozenset({"sparse"}),
    _fap_macs,
    _fap_parameters,
    "nasrec_nni.operators.fap:FieldAwareProduct",
)
BILINEAR = Operator(
    "bilinear",
    "sparse",
    frozenset({"sparse"}),
    _bilinear_macs,
    _bilinear_parameters,
    "nasrec_nni.operators.bilinear:Bilinear",
)
