"""What can be known to be wrong with a config before any work: plug-in names, their options, files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.config import Config, DataConfig
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.pipeline.caps import hashed_beyond_caps
from nasrec_nni.pipeline.space import describe, random_architectures
from nasrec_nni.pipeline.sweep.space import problems as sweep_problems
from nasrec_nni.pipeline.tables import too_large
from nasrec_nni.plugins import OWN, registry
from nasrec_nni.strategies.search import read_earlier, start_search


def check(config: Config, *, retrains: bool = True) -> None:
    """Raises UserErrors with every mistake.

    Args:
        config: of a run.
        retrains: whether the work goes as far as training from scratch.
    """
    searches = config.retrain.top_k > 0 or not retrains
    problems = [problem for part in _parts(config, searches) for problem in part]
    if retrains and not config.retrain.top_k and not config.retrain.baselines:
        where = "retrain.top_k, retrain.baselines"
        problems.append(UserError("there is no model to train that could win", where=where))
    if problems:
        raise UserErrors(problems)


def _parts(config: Config, searches: bool) -> Iterator[Iterable[UserError]]:
    yield _prepared(config, searches) if config.data.prepared is not None else _raw(config.data)
    yield _told(lambda: describe(config.space)) or _strangers(describe(config.space))
    yield _plugin("one_shot", config.supernet.strategy, "supernet.strategy")
    for at, name in enumerate(config.search.all_objectives):
        yield _plugin("objectives", name, "search.objectives" if at else "search.objective")
    yield _algorithm(config)
    yield _baselines(config)
    yield sweep_problems(config)
    yield _repeats(config.retrain.baselines, "retrain.baselines")
    yield _repeats(config.retrain.seeds, "retrain.seeds")
    yield _seeds((config.seed,), "seed")
    yield _seeds(config.retrain.seeds, "retrain.seeds")
    yield _caps(config)
    yield _device(config.device)
    yield _strategy(config.strategy)
    yield _devices(config)
    if config.retrain.top_k > config.search.candidates:
        yield [
            UserError(
                "more winners than candidates",
                value=config.retrain.top_k,
                where="retrain.top_k",
                allowed=f"at most search.candidates ({config.search.candidates})",
            )
        ]


def _told(action: Callable[[], object]) -> list[UserError]:
    """The mistakes that an action finds."""
    try:
        action()
    except UserErrors as errors:
        return errors.errors
    except UserError as error:
        return [error]
    return []


def _plugin(group: str, name: str, where: str) -> list[UserError]:
    found = _told(lambda: registry(group).load(name))
    return [UserError(e.what, value=e.value, where=where, allowed=e.allowed, hint=e.hint) for e in found]


def _strangers(space: SpaceDescription) -> Iterator[UserError]:
    """Operators and mergers of other packages that cannot be built."""
    for key in ("dense_operators", "sparse_operators", "dense_to_sparse", "sparse_to_dense"):
        group = "operators" if key.endswith("operators") else "mergers"
        names = getattr(space, key) if group == "operators" else (getattr(space, key),)
        for name in names:
            for error in _told(lambda group=group, name=name: _try_building(group, name, space)):  # type: ignore[misc]
                yield UserError(error.what, value=error.value, where=f"space.{key}", hint=error.hint)


def _try_building(group: str, name: str, space: SpaceDescription) -> None:
    if registry(group).owner(name) in (OWN, None):
        registry(group).load(name)
        return
    from nasrec_nni.network.build import build_merger, build_operator
    from nasrec_nni.operators.inputs import Limits

    limits = Limits({0: 3}, {0: (3, 0)}, 3, 4, space.embedding, space.heads, layer_norm=True, elastic=True)
    (build_operator if group == "operators" else build_merger)(name, limits)


def _prepared(whole: Config, searches: bool) -> Iterator[UserError]:
    config = whole.data
    others = [key for key in ("source", "inputs", "options") if getattr(config, key) != getattr(DataConfig(), key)]
    if others:
        yield UserError(
            "a prepared set leaves nothing to prepare",
            value=config.prepared,
            where="data.prepared",
            hint=f"Remove data.{', data.'.join(others)}, or data.prepared",
        )
    named = str(config.prepared)
    if not Path(named).is_dir():
        yield UserError("no such folder", value=named, where="data.prepared", hint="`nasrec prepare` makes one")
        return
    from nasrec_nni.data.prepared import PreparedSet

    opened: list[PreparedSet] = []
    yield from _moved(_told(lambda: opened.append(PreparedSet.load(named, verify=False))))
    if opened:
        if not opened[0].sparse_names:
            yield _no_category("data.prepared", named)
        yield from hashed_beyond_caps(whole, opened[0].schema, searches)
        if not _told(lambda: describe(whole.space)):
            yield from too_large(whole, opened[0].rows_per_field, searches)


def _raw(config: DataConfig) -> Iterator[UserError]:
    unknown = _plugin("sources", config.source, "data.source")
    yield from unknown
    absent = [path for path in config.inputs if not Path(path).exists()]
    for path in absent:
        yield UserError("no such file or folder", value=path, where="data.inputs")
    if not unknown and not absent:
        from nasrec_nni.data.prepare import open_columns, open_source

        found: list[Any] = []
        yield from _told(
            lambda: found.append(open_columns(*open_source(config.source, config.inputs, config.options))[1])
        )
        if found and not found[0]:
            yield _no_category("data.inputs", ", ".join(config.inputs))


def _moved(errors: Iterable[UserError]) -> Iterator[UserError]:
    """Errors of a prepared set, that say which key names it."""
    for error in errors:
        yield UserError(
            error.what, value=error.value, where=f"data.prepared: {error.where}", allowed=error.allowed, hint=error.hint
        )


def _no_category(key: str, value: str) -> UserError:
    return UserError(
        "has no categorical column, and every network needs one",
        value=value,
        where=key,
        hint="Prepare numeric columns as categories: categorical: [COLUMN], or --categorical COLUMN",
    )


def _algorithm(config: Config) -> list[UserError]:
    wrong = _plugin("search", config.search.algorithm, "search.algorithm")
    space: list[Any] = []
    if wrong or _told(lambda: space.append(describe(config.space))):
        return wrong
    if count := config.retrain.random:  # what is left when the winners, not known yet, are taken out
        wrong += _told(lambda: random_architectures(space[0], config.seed, count + config.retrain.top_k))
    return wrong + _told(lambda: _start(config, space[0]))


def _start(config: Config, space: SpaceDescription) -> None:
    """What the algorithm says of its options, of limits, several objectives and earlier results."""
    settings = config.search
    count = len(settings.all_objectives)
    path = None if settings.warm_start is None else Path(settings.warm_start)
    limited = settings.limits.max_macs is not None or settings.limits.max_parameters is not None
    start_search(
        settings.algorithm,
        space,
        config.seed,
        settings.options,
        settings.candidates,
        objectives=count,
        excess=(lambda architecture: 0.0) if limited else None,
        earlier=[] if path is None else read_earlier(path, space, lambda record: (record.value or 0.0,) * count),
    )


def _baselines(config: Config) -> Iterator[UserError]:
    names = config.retrain.baselines
    for name in names:
        yield from _plugin("baselines", name, "retrain.baselines")
    for name, options in config.retrain.baseline_options.items():
        if name not in names:
            yield UserError(
                "options of a model that is not trained",
                value=name,
                where="retrain.baseline_options",
                allowed=", ".join(names) or "none",
            )
        elif options and not _plugin("baselines", name, ""):
            fields = _fields(config.data)
            yield from _told(lambda n=name, o=options, f=fields: _try_baseline(n, o, f))  # type: ignore[misc]


def _try_baseline(name: str, options: dict[str, Any], fields: int) -> None:
    """One with tiny tables and these options: only the model itself knows what it takes."""
    from nasrec_nni.baselines.settings import BaselineSettings

    registry("baselines").load(name)(1, (3,) * fields, BaselineSettings(), **options)


def _fields(config: DataConfig) -> int:
    """Categorical columns of the data; two where they cannot be read, which is told elsewhere."""
    from nasrec_nni.pipeline.facts import facts_of

    found: list[int] = []
    _told(lambda: found.append(len(facts_of(config).rows_per_field)))
    return max(1, found[0]) if found else 2


def _repeats(values: tuple[Any, ...], where: str) -> Iterator[UserError]:
    for value, count in Counter(values).items():
        if count > 1:
            yield UserError(f"is named {count} times", value=value, where=where, allowed="each once")


def _seeds(seeds: tuple[int, ...], where: str) -> Iterator[UserError]:
    for seed in seeds:
        if not 0 <= seed < 2**32:
            yield UserError("not a seed", value=seed, where=where, allowed="0 to 4294967295")


def _caps(config: Config) -> Iterator[UserError]:
    """Two ids of every field are reserved: missing, and rare or unseen."""
    for name, cap in (("supernet", config.supernet.max_rows_per_field), ("retrain", config.retrain.max_rows_per_field)):
        if cap is not None and cap < 2:
            yield UserError("too few rows", value=cap, where=f"{name}.max_rows_per_field", allowed="2 or more")


def _device(name: str) -> list[UserError]:
    if name in ("auto", "cpu"):
        return []
    if name != "cuda":
        return [UserError("unknown device", value=name, where="device", allowed="auto, cpu, cuda")]
    import torch

    if torch.cuda.is_available():
        return []
    hint = "Set device: cpu, or install a GPU build of torch (see the README)"
    return [UserError("torch sees no GPU", value=name, where="device", hint=hint)]


def _strategy(name: str) -> Iterator[UserError]:
    """Ours is the only one of Lightning's strategies that trains what one process would."""
    if name not in ("auto", "ddp"):
        yield UserError(
            "this strategy of Lightning cannot train here: it would not see the gradients of sampled slices and of "
            "table rows, and wait for those of weights that a path does not use",
            value=name,
            where="strategy",
            allowed="auto, ddp (the same: whole copies that exchange gradients)",
            hint="Remove strategy, and say with devices how many processes share a batch",
        )


def _devices(config: Config) -> Iterator[UserError]:
    if config.devices == 1:
        return
    import torch

    gpus = torch.cuda.device_count() if config.device != "cpu" else 0
    there = gpus or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
    if config.devices > there:
        what = "more processes than GPUs" if gpus else "more processes than CPU cores"
        yield UserError(what, value=config.devices, where="devices", allowed=f"at most {there}")
    for where, recipe in (("supernet", config.supernet.recipe), ("retrain", config.retrain.recipe)):
        if recipe.batch % config.devices:
            yield UserError(
                "a batch cannot be split evenly over the processes",
                value=recipe.batch,
                where=f"{where}.recipe.batch",
                allowed=f"multiples of devices ({config.devices})",
            )
