"""What the author of a plug-in imports. These names keep their meaning within one plug-in interface (`INTERFACE`).

    descriptions    Operator, Shape, linear_parameters, dot_product_rows, Merger, MergerShape, SpaceDescription,
                    Distribution, Objective
    operators       Limits, Inputs, Rows, ColumnMap, RowMap, RowsToColumns, Tail, Norm, take, xavier, multiply_add,
                    pad, padded_sum
    architectures   Architecture, Block, Path, PathBlock, random_architecture, stream
    search          Options, parse_options, Unique, Record, mutate, new_random
    sources         LogSource, SourceOptions, Columns, Chunk
    baselines       BaselineSettings, FusedEmbedding
    errors          UserError, UserErrors

Each loads when first used: a description needs no torch, and none is loaded for it. Everything else of the package is
private, and may change in any release. docs/plugins.md tells how to use them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasrec_nni.analysis.objectives import Objective
    from nasrec_nni.architecture.description import (
        Merger,
        MergerShape,
        Operator,
        Shape,
        dot_product_rows,
        linear_parameters,
    )
    from nasrec_nni.architecture.draw import random_architecture, stream
    from nasrec_nni.architecture.space import SpaceDescription
    from nasrec_nni.architecture.value import Architecture, Block, Path, PathBlock
    from nasrec_nni.baselines.settings import BaselineSettings
    from nasrec_nni.data.sources.base import Chunk, Columns, LogSource, SourceOptions
    from nasrec_nni.errors import UserError, UserErrors
    from nasrec_nni.operators.embedding import FusedEmbedding
    from nasrec_nni.operators.flat import RowsToColumns
    from nasrec_nni.operators.inputs import Inputs, Limits, Rows
    from nasrec_nni.operators.linear import ColumnMap, Norm, RowMap, Tail, multiply_add, xavier
    from nasrec_nni.operators.padded import pad, padded_sum
    from nasrec_nni.operators.slices import take
    from nasrec_nni.plugins import INTERFACE
    from nasrec_nni.strategies.sampling.distributions import Distribution
    from nasrec_nni.strategies.search.interface import Options, parse_options
    from nasrec_nni.strategies.search.mutation import mutate
    from nasrec_nni.strategies.search.random_search import new_random
    from nasrec_nni.strategies.search.records import Record
    from nasrec_nni.strategies.search.unique import Unique

__all__ = [
    "INTERFACE",
    "Architecture",
    "BaselineSettings",
    "Block",
    "Chunk",
    "ColumnMap",
    "Columns",
    "Distribution",
    "FusedEmbedding",
    "Inputs",
    "Limits",
    "LogSource",
    "Merger",
    "MergerShape",
    "Norm",
    "Objective",
    "Operator",
    "Options",
    "Path",
    "PathBlock",
    "Record",
    "RowMap",
    "Rows",
    "RowsToColumns",
    "Shape",
    "SourceOptions",
    "SpaceDescription",
    "Tail",
    "Unique",
    "UserError",
    "UserErrors",
    "dot_product_rows",
    "linear_parameters",
    "multiply_add",
    "mutate",
    "new_random",
    "pad",
    "padded_sum",
    "parse_options",
    "random_architecture",
    "stream",
    "take",
    "xavier",
]
_MODULES = {
    "analysis.objectives": ("Objective",),
    "architecture.description": (
        *("Merger", "MergerShape", "Operator", "Shape"),
        *("dot_product_rows", "linear_parameters"),
    ),
    "architecture.draw": ("random_architecture", "stream"),
    "architecture.space": ("SpaceDescription",),
    "architecture.value": ("Architecture", "Block", "Path", "PathBlock"),
    "baselines.settings": ("BaselineSettings",),
    "data.sources.base": ("Chunk", "Columns", "LogSource", "SourceOptions"),
    "errors": ("UserError", "UserErrors"),
    "operators.embedding": ("FusedEmbedding",),
    "operators.flat": ("RowsToColumns",),
    "operators.inputs": ("Inputs", "Limits", "Rows"),
    "operators.linear": ("ColumnMap", "Norm", "RowMap", "Tail", "multiply_add", "xavier"),
    "operators.padded": ("pad", "padded_sum"),
    "operators.slices": ("take",),
    "plugins": ("INTERFACE",),
    "strategies.sampling.distributions": ("Distribution",),
    "strategies.search.interface": ("Options", "parse_options"),
    "strategies.search.mutation": ("mutate",),
    "strategies.search.random_search": ("new_random",),
    "strategies.search.records": ("Record",),
    "strategies.search.unique": ("Unique",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"nasrec_nni.{_HOMES[name]}"), name)
