"""Training of any network by a recipe: Lightning's loop, our checkpoints, exact resume."""

from nasrec_nni.training.fit import FitResult, fit
from nasrec_nni.training.predict import predict

__all__ = ["FitResult", "fit", "predict"]
