"""The two published spaces and ours as values; nothing of NNI or torch is loaded for them."""

from __future__ import annotations

from nasrec_nni.architecture.space import SpaceDescription

NASREC_SMALL = SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",))
NASREC_FULL = SpaceDescription("nasrec-full", ("fc", "dp", "sg", "sum"), ("attn", "efc"))
NASREC_PLUS = SpaceDescription(
    "nasrec-plus", (*NASREC_FULL.dense_operators, "cross", "fap", "gate"), (*NASREC_FULL.sparse_operators, "bilinear")
)
