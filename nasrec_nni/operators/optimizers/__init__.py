"""Optimizers that touch only used rows and slices."""

from nasrec_nni.operators.optimizers.adagrad import Adagrad, RowwiseAdagrad
from nasrec_nni.operators.optimizers.adam import Adam
from nasrec_nni.operators.optimizers.base import NotFiniteError, TouchedOptimizer
from nasrec_nni.operators.optimizers.build import build_optimizer, sparse_gradients_for

__all__ = [
    "Adagrad",
    "Adam",
    "NotFiniteError",
    "RowwiseAdagrad",
    "TouchedOptimizer",
    "build_optimizer",
    "sparse_gradients_for",
]
