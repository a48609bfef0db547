"""The next recipe to try, by Optuna's tree-structured Parzen estimator (TPE), as a function of what was tried.

Optuna keeps nothing: a study is made in memory and told the stored trials each time, with a sampler seeded by the
number of the trial. So a sweep that was stopped goes on with the recipes it would have tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrec_nni.config import Recipe
from nasrec_nni.pipeline.sweep.space import Dimension
from nasrec_nni.pipeline.sweep.trials import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STARTUP = 3  # trials before the estimator, the unchanged recipe among them; drawn at random, for every model alike


def proposal(space: Sequence[Dimension], recipe: Recipe, done: Sequence[Trial], seed: int) -> dict[str, Any]:
    """Values of the keys of `space` for the trial behind those that are done; the first is the recipe as it stands.

    Args:
        space: what may vary.
        recipe: of the config.
        done: trials so far, in order.
        seed: of the sweep.
    """
    if not done:
        return {one.key: getattr(recipe, one.key) for one in space}
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = int(np.random.SeedSequence([seed, len(done)]).generate_state(1)[0])
    study = optuna.create_study(
        direction="minimize", sampler=optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=number)
    )
    distributions = {one.key: _distribution(one) for one in space}
    for trial in done:
        # values that the space does not hold (of the unchanged recipe, maybe) teach the estimator nothing
        if trial.val_log_loss is not None and all(one.holds(trial.recipe[one.key]) for one in space):
            study.add_trial(
                optuna.trial.create_trial(params=trial.recipe, distributions=distributions, value=trial.val_log_loss)
            )
    found: dict[str, Any] = study.ask(distributions).params
    return {one.key: found[one.key] for one in space}


def _distribution(one: Dimension) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if one.choices:
        return CategoricalDistribution(one.choices)
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)
