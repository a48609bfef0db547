"""The two published spaces as values; nothing of NNI or torch is loaded for them."""

from __future__ import annotations

from nasrec_nni.architecture.space import SpaceDescription

NASREC_SMALL = SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",))
NASREC_FULL = SpaceDescription("nasrec-full", ("fc", "dp", "sg", "sum"), ("attn", "efc"))
