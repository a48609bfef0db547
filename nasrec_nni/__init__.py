"""One-shot architecture search for click-through-rate models, on NNI 3.0.

The names below are the public ones; all else is private. They load when first used, so that importing the
package loads neither torch nor NNI.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasrec_nni.architecture.json import load_architecture
    from nasrec_nni.architecture.value import Architecture, Path
    from nasrec_nni.data.prepared import PreparedSet
    from nasrec_nni.estimator import NASRecClassifier
    from nasrec_nni.evaluation.evaluator import Evaluator, Score
    from nasrec_nni.evaluation.supernet import Supernet
    from nasrec_nni.export.model import ExportedModel, load_model
    from nasrec_nni.network import NASRecNetwork, TableSettings
    from nasrec_nni.profiling import Sizes, profile
    from nasrec_nni.strategies.sampling.sampler import architectures

__all__ = [
    "Architecture",
    "Evaluator",
    "ExportedModel",
    "NASRecClassifier",
    "NASRecNetwork",
    "Path",
    "PreparedSet",
    "Score",
    "Sizes",
    "Supernet",
    "TableSettings",
    "architectures",
    "load_architecture",
    "load_model",
    "profile",
]
_HOMES = {
    "Architecture": "architecture.value",
    "Evaluator": "evaluation.evaluator",
    "ExportedModel": "export.model",
    "NASRecClassifier": "estimator",
    "NASRecNetwork": "network",
    "Path": "architecture.value",
    "PreparedSet": "data.prepared",
    "Score": "evaluation.evaluator",
    "Sizes": "profiling",
    "Supernet": "evaluation.supernet",
    "TableSettings": "network",
    "architectures": "strategies.sampling.sampler",
    "load_architecture": "architecture.json",
    "load_model": "export.model",
    "profile": "profiling",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("nasrec-nni")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
