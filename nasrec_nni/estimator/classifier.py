"""`NASRecClassifier`: a scikit-learn classifier whose `fit` searches for an architecture within a time budget."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from nasrec_nni.config_file import parse_config
from nasrec_nni.durations import written
from nasrec_nni.errors import UserError
from nasrec_nni.estimator.columns import Roles, roles_of, split_into_columns
from nasrec_nni.estimator.rows import stratified, write_table
from nasrec_nni.estimator.settings import config_of

if TYPE_CHECKING:
    from nasrec_nni.analysis.leaderboard import Standing
    from nasrec_nni.architecture.value import Architecture
    from nasrec_nni.estimator.winner import Winner

TABLE = "rows.parquet"


class InputError(UserError, ValueError):
    """A `UserError` for those who expect scikit-learn's ValueError."""


class NASRecClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Searches a network for the rows of `fit`, within a time budget, and predicts with the winner.

    `fit` does what `nasrec run` does: it prepares the rows, trains a supernet, scores candidates in it, trains the
    best of them from scratch (beside hand-made models, if `baselines` names some) and keeps the one with the lowest
    log loss on validation rows that it has set apart. Two classes.

    Args:
        time_budget: seconds of `fit`, kept within 10 %; what does not fit is cut. None: everything is done. With a
            budget, what is trained depends on the clock too, so that two fits may differ.
        space: name of a search space, taken in a small size (4 blocks, widths up to 128), or the mapping that a
            config has under `space`, taken as it is.
        recipe: `bars` or `published`, with batch and epochs scaled to the rows; or a mapping of the keys of a recipe.
        candidates: architectures to score.
        top_k: of them, how many are trained from scratch.
        baselines: hand-made models that may win too, by name: `("dlrm", "dcnv2")`.
        categorical: columns that are categories, by name or place.
        numeric: columns that are numbers, by name or place.
        validation_fraction: share of the rows of each class to validate on; as many are set apart to test.
        run_folder: folder in which each fit keeps its run, numbered, with its report; None keeps nothing.
        config: further keys of a config (`{"search": {"head_rows": 16384}}`), which win over all others.
        threads: CPU threads, all cores if None.
        device: `cpu`, `cuda` or `auto`.
        random_state: of all draws.
        verbose: progress on stderr.

    Attributes:
        classes_: `[2]` labels.
        n_features_in_: columns.
        feature_names_in_: their names, if `X` was a frame whose names are texts.
        numeric_features_, categorical_features_: names of the columns by how they are read.
        architecture_: of the winner; None if a hand-made model won.
        leaderboard_: a mapping per model, best first.
        budget_: what the time went to and what was cut; None without a budget.
        run_: folder of the kept run, or None.
    """

    def __init__(
        self,
        *,
        time_budget: float | None = 300.0,
        space: str | Mapping[str, Any] = "nasrec-small",
        recipe: str | Mapping[str, Any] = "bars",
        candidates: int = 100,
        top_k: int = 2,
        baselines: Sequence[str] = (),
        categorical: Sequence[str | int] | None = None,
        numeric: Sequence[str | int] | None = None,
        validation_fraction: float = 0.1,
        run_folder: str | Path | None = None,
        config: Mapping[str, Any] | None = None,
        threads: int | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.time_budget = time_budget
        self.space = space
        self.recipe = recipe
        self.candidates = candidates
        self.top_k = top_k
        self.baselines = baselines
        self.categorical = categorical
        self.numeric = numeric
        self.validation_fraction = validation_fraction
        self.run_folder = run_folder
        self.config = config
        self.threads = threads
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = True
        tags.non_deterministic = self.time_budget is not None
        return tags

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> NASRecClassifier:
        """Search, train and keep the winner.

        Args:
            X: `[n, columns]` frame or array. None, NaN and empty texts are missing values.
            y: `[n]` labels of two classes.
            sample_weight: `[n]`, not negative; a row of weight 0 does not count.

        Raises:
            ValueError: the rows, the labels or a parameter are wrong; `InputError`, if the search says so.
            TypeError: cells that are neither numbers nor texts.
        """
        began = time.monotonic()
        self._refuse_bad_parameters()
        X, y = self._checked(X, y)
        columns, codes = split_into_columns(X), self._encoded(y)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        if weight is not None and (zero := weight == 0).any():
            columns, codes, weight = [one.filter(~zero) for one in columns], codes[~zero], weight[~zero]
        random = check_random_state(self.random_state)
        seed = int(random.randint(2**31))
        self._roles = self._roles_of(columns, hasattr(X, "columns") or hasattr(X, "column_names"))
        split = stratified(codes, self.validation_fraction, np.random.default_rng(seed))
        with self._place() as folder, _told_as_value_error():
            folder.mkdir(parents=True, exist_ok=True)
            options = write_table(folder / TABLE, self._roles, columns, codes, split, weight)
            self._search(folder, options, int((split == 0).sum()), seed, began)
        return self

    def _search(self, folder: Path, options: dict[str, Any], rows: int, seed: int, began: float) -> None:
        """Run all stages and take their outcome."""
        content = config_of(
            rows,
            seed=seed,
            space=self.space,
            recipe=self.recipe,
            candidates=self.candidates,
            top_k=self.top_k,
            baselines=tuple(self.baselines),
            device=self.device,
            threads=self.threads,
            more=self.config or {},
        )
        content["data"] = {"source": "table", "inputs": [str(folder / TABLE)], "options": options}
        if self.time_budget is not None:
            content["budget"] = written(self.time_budget)
        config = parse_config(content, "NASRecClassifier")
        with _undisturbed(config.threads):
            from nasrec_nni.analysis.leaderboard import standings
            from nasrec_nni.config_file import load_config
            from nasrec_nni.estimator.winner import Winner
            from nasrec_nni.pipeline.context import Context
            from nasrec_nni.pipeline.retrain import read_results
            from nasrec_nni.pipeline.run import run_stages
            from nasrec_nni.run_folder import RunFolder

            run = RunFolder(folder / "run")
            last = "retrain" if self.run_folder is None else "report"
            found = run_stages(config, run.path, last, command="fit", progress=bool(self.verbose), began=began)
            context = Context(load_config(run.config), run, progress=False)
            self._winner: Winner = Winner.of(context)
            table = standings(read_results(run))
        self.leaderboard_ = [_told(standing) for standing in table]
        self.architecture_: Architecture | None = self._winner.architecture
        self.budget_: dict[str, Any] | None = found.get("budget")
        self.run_ = None if self.run_folder is None else str(run.path)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """`[n]` log odds of the second class."""
        check_is_fitted(self)
        X = self._read(X, reset=False)
        columns = split_into_columns(X)
        numbers, texts = self._roles.numbers(columns), self._roles.texts(columns)
        with _told_as_value_error():
            return self._winner.logits(numbers, texts, len(columns[0]))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """`[n, 2]` probabilities of the classes in the order of `classes_`."""
        from scipy.special import expit

        logits = self.decision_function(X)
        return np.column_stack([expit(-logits), expit(logits)])

    def predict(self, X: Any) -> NDArray[Any]:
        """`[n]` the likelier class of each row."""
        likelier = (self.decision_function(X) > 0).astype(int)
        found: NDArray[Any] = self.classes_[likelier]
        return found

    def _refuse_bad_parameters(self) -> None:
        for name in ("candidates", "top_k"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise InputError("must be a whole number from 1", value=value, where=name)
        budget = self.time_budget
        if budget is not None and not (isinstance(budget, (int, float)) and 1 <= budget < float("inf")):
            raise InputError("must be seconds, at least 1, or None", value=budget, where="time_budget")
        if not 0 < self.validation_fraction < 0.5:
            raise InputError("must lie between 0 and 0.5", value=self.validation_fraction, where="validation_fraction")

    def _read(self, X: Any, *, reset: bool) -> Any:
        """The rows, with names and number of columns checked; a frame stays one."""
        if hasattr(X, "iloc") or hasattr(X, "to_arrow") or hasattr(X, "column_names"):
            validate_data(self, X, skip_check_array=True, reset=reset)
            if not len(X):
                raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
            return X
        return validate_data(self, X, dtype=None, ensure_all_finite=False, reset=reset)

    def _checked(self, X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        X = self._read(X, reset=True)
        y = column_or_1d(y, warn=True)
        if len(y) != len(X):
            raise ValueError(f"Found input variables with inconsistent numbers of samples: [{len(X)}, {len(y)}]")
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise ValueError("Input y contains NaN or infinity.")
        check_classification_targets(y)
        return X, y

    def _encoded(self, y: NDArray[Any]) -> NDArray[np.int64]:
        """`[n]` 0 or 1; sets `classes_`."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {type_of_target(y)}, "
                f"with {len(self.classes_)} classes."
            )
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier can't train when only one class is present: {self.classes_[0]!r}")
        found: NDArray[np.int64] = codes.astype(np.int64)
        return found

    def _roles_of(self, columns: list[Any], framed: bool) -> Roles:
        given = [str(name) for name in getattr(self, "feature_names_in_", ())]
        plain = len(set(given)) == len(columns) and all(name.strip() for name in given)
        names = given if plain else [f"x{at}" for at in range(len(columns))]
        numeric, categorical = (self._places(name, given) for name in ("numeric", "categorical"))
        if both := set(numeric) & set(categorical):
            raise InputError("a column is named as both", value=names[min(both)], where="numeric, categorical")
        roles = roles_of(columns, names, framed, numeric, categorical)
        self.numeric_features_, self.categorical_features_ = list(roles.numeric), list(roles.categorical)
        return roles

    def _places(self, parameter: str, names: list[str]) -> list[int]:
        """Columns that a parameter names, by place."""
        found = []
        for one in getattr(self, parameter) or ():
            if isinstance(one, str) and one in names:
                found.append(names.index(one))
            elif isinstance(one, (int, np.integer)) and not isinstance(one, bool) and 0 <= one < self.n_features_in_:
                found.append(int(one))
            else:
                allowed = ", ".join(names) or f"0 to {self.n_features_in_ - 1}"
                raise InputError("no such column", value=one, where=parameter, allowed=allowed)
        return found

    @contextmanager
    def _place(self) -> Iterator[Path]:
        """The folder of this fit: a numbered one that stays, or one that goes."""
        if self.run_folder is None:
            with TemporaryDirectory(prefix="nasrec-fit-") as temporary:
                yield Path(temporary)
            return
        number = 1
        while True:
            folder = Path(self.run_folder) / f"fit-{number}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                number += 1
                continue
            break
        try:
            yield folder
        except (UserError, ValueError, TypeError):  # a mistake in the rows leaves nothing behind
            shutil.rmtree(folder)
            raise


def _told(standing: Standing) -> dict[str, Any]:
    """A line of the leaderboard."""
    means = {name: getattr(standing, name) for name in ("val_log_loss", "val_auc", "test_log_loss", "test_auc")}
    return {
        "model": standing.model,
        "kind": standing.kind,
        **{name: None if figure is None else figure.mean for name, figure in means.items()},
        "live_macs": standing.live_macs,
        "parameters": standing.parameters,
    }


@contextmanager
def _told_as_value_error() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        if isinstance(error, ValueError):
            raise
        raise InputError(error.message) from error


@contextmanager
def _undisturbed(threads: int | None) -> Iterator[None]:
    """Threads and torch's random numbers are the caller's again behind the block; a harmless warning is not shown."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is found to be not a nn.Module.*", RuntimeWarning)
        import torch

        from nasrec_nni.threads import using_threads

        with using_threads(threads), torch.random.fork_rng(devices=[]):
            yield
