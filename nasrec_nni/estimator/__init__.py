"""The scikit-learn door: a classifier whose `fit` is a whole search."""

from __future__ import annotations

from nasrec_nni.estimator.classifier import InputError, NASRecClassifier

__all__ = ["InputError", "NASRecClassifier"]
