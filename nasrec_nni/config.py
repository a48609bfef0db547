"""The typed config of a run: frozen, unknown keys refused, every mistake told at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from nasrec_nni.durations import seconds_of, written

Positive = Annotated[int, Field(gt=0, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
TableRows = Annotated[int, Field(ge=2, strict=True)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Precision = Literal["32-true", "bf16-mixed"]
Seconds = Annotated[float, BeforeValidator(seconds_of), PlainSerializer(written)]


class Model(BaseModel):
    """Frozen, strict about keys; every field says what it means."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(Model):
    """Where the rows come from: an already prepared set, or a raw log to prepare into RUN/data."""

    prepared: str | None = Field(None, description="folder made by `nasrec prepare`; excludes the keys below")
    source: str = Field("synthetic", description="source plug-in: see `nasrec ls sources`")
    inputs: tuple[str, ...] = Field((), description="raw files or folders, in order")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the source and of prepare")


class SpaceConfig(Model):
    """The search space and its sizes; an unset list is the space's own."""

    name: str = Field("nasrec-small", description="search space plug-in")
    blocks: Positive | None = Field(None, description="choice blocks N")
    embedding: Positive | None = Field(None, description="embedding width E")
    heads: Positive | None = Field(None, description="attention heads, must divide E")
    max_connections: Positive | None = Field(None, description="most sources of one list")
    dense_widths: tuple[Positive, ...] | None = Field(None, description="widths D")
    sparse_rows: tuple[Positive, ...] | None = Field(None, description="rows S")
    dense_operators: tuple[str, ...] | None = Field(None, description="operator plug-ins of the dense half")
    sparse_operators: tuple[str, ...] | None = Field(None, description="operator plug-ins of the sparse half")


PRESETS: dict[str, dict[str, Any]] = {
    "published": {
        "optimizer": "adagrad",
        "learning_rate": 0.12,
        "epsilon": 1e-2,
        "batch": 512,
        "epochs": 1,
        "schedule": "cosine",
        "clip": 5.0,
        "embedding_init": "xavier",
    },
    "bars": {
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "epsilon": 1e-8,
        "batch": 4096,
        "epochs": 15,
        "schedule": "plateau",
        "clip": 10.0,
        "embedding_l2": 1e-5,
        "dropout": 0.2,
        "embedding_init": 0.01,
    },
}


# Keys of a recipe that earlier versions did not have. Identities of trainings and stages are made of a recipe's values.
LATER = ("embedding_optimizer", "embedding_epsilon")


class Recipe(Model):
    """How a network is trained. `preset` fills every key that is not given.

    Sources: `published` is NASRec, authors' implementation (SPEC sections 6 to 8); `bars` is the
    habit of the public CTR leaderboards.
    """

    preset: Literal["published", "bars"] | None = Field(None, description="published or bars")
    optimizer: Literal["adagrad", "adam"] = Field("adagrad", description="touches only used rows and slices")
    learning_rate: Rate = Field(0.12, description="peak learning rate")
    embedding_learning_rate: Rate | None = Field(None, description="of the tables, if another")
    embedding_optimizer: Literal["adagrad", "rowwise-adagrad", "adam"] | None = Field(
        None, description="of the tables, if another; rowwise-adagrad keeps one number a row, adam is lazy"
    )
    epsilon: Rate = Field(1e-2, description="of the optimizer")
    embedding_epsilon: Rate | None = Field(None, description="of the tables, if another")
    batch: Positive = Field(512, description="rows a step")
    epochs: Positive = Field(1, description="most passes over the training split")
    schedule: Literal["cosine", "constant", "plateau"] = Field("cosine", description="learning rate over time")
    lr_warmup: Fraction = Field(0.1, description="cosine only: share of steps with a linear rise")
    patience: Positive = Field(2, description="constant: stop after so many epochs without gain; plateau: cuts")
    clip: NotNegative = Field(5.0, description="global gradient norm, 0 for none")
    embedding_l2: NotNegative = Field(0.0, description="L2 penalty of the tables, as added to the gradient")
    embedding_l2_scope: Literal["touched", "table"] = Field("touched", description="rows of the batch, or all")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="on dense hidden outputs")
    embedding_init: Literal["xavier"] | Rate = Field("xavier", description="xavier, or a standard deviation")
    monitor: Literal["log_loss", "auc"] = Field("log_loss", description="validation figure that picks the epoch")

    @model_validator(mode="before")
    @classmethod
    def _fill_preset(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"preset": given}
        preset = given.get("preset") if isinstance(given, dict) else None
        if isinstance(preset, str) and preset in PRESETS:
            return PRESETS[preset] | given
        return given

    @model_serializer(mode="wrap")
    def _without_later_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Later keys only where they are set, so that what earlier versions have stored goes on being the same."""
        content: dict[str, Any] = handler(self)
        return {key: value for key, value in content.items() if value is not None or key not in LATER}


def _published(given: Any) -> Any:
    return given if given is not None else {"preset": "published"}


def _supernet(given: Any) -> Any:
    """A supernet has no epoch to go back to: `bars` is trained for three epochs on a cosine here."""
    given = _published(given)
    if isinstance(given, str):
        given = {"preset": given}
    if isinstance(given, dict) and given.get("preset") == "bars":
        return {"schedule": "cosine", "epochs": 3} | given
    return given


RecipeField = Annotated[Recipe, BeforeValidator(_published)]
SupernetRecipe = Annotated[Recipe, BeforeValidator(_supernet)]


# Keys that earlier versions did not have, left out of what is stored where they are not set.
LATER_OF_SUPERNET = ("max_steps",)

# Keys of a supernet that only say how it is watched and saved: no weight depends on them.
WATCHING = ("checkpoint_every", "validate_every", "validation_architectures", "validation_rows")


class SupernetConfig(Model):
    """Training of the one supernet."""

    strategy: str = Field("single-operator-any-connection", description="one-shot plug-in: how a path is drawn")
    counts: Literal["binomial", "uniform"] = Field("binomial", description="distribution of connection counts")
    warmup: Fraction = Field(0.2, description="share of the steps over which full paths fade out, 0 for none")
    layer_norm: bool = Field(True, description="layer norm behind linear maps")
    recipe: SupernetRecipe = Field(default_factory=lambda: Recipe.model_validate({"preset": "published"}))
    max_steps: Positive | None = Field(
        None, description="end after so many optimizer steps, schedule included; unset: after all epochs of the recipe"
    )
    max_rows_per_field: TableRows | None = Field(500_000, description="table rows a field; rarer values share one")
    checkpoint_every: Positive = Field(200, description="steps between checkpoints")
    validate_every: Positive = Field(500, description="steps between validations")
    validation_architectures: Positive = Field(4, description="fixed architectures scored in validation")
    validation_rows: Positive = Field(20_000, description="validation rows they are scored on")

    @model_validator(mode="after")
    def _no_plateau(self) -> SupernetConfig:
        if self.recipe.schedule == "plateau":
            raise ValueError("recipe.schedule plateau needs one validation figure; a supernet takes cosine or constant")
        for key in ("patience", "monitor"):
            if getattr(self.recipe, key) != Recipe.model_fields[key].default:
                raise ValueError(f"recipe.{key} has no effect on a supernet, which is trained for all its epochs")
        return self

    @model_serializer(mode="wrap")
    def _without_later_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        return {key: value for key, value in content.items() if value is not None or key not in LATER_OF_SUPERNET}


# What a candidate may cost; `published` is NASRec, authors' implementation (SPEC section 7).
BUDGETS: dict[str, dict[str, Any]] = {
    "published": {"head": "adagrad", "head_rows": 256_000, "score_rows": 1_228_800},
}


class LimitsConfig(Model):
    """What no candidate may cost. Those known beforehand are kept by what is proposed."""

    max_macs: Rate | None = Field(None, description="live MACs an example")
    max_parameters: Rate | None = Field(None, description="live parameters, without embeddings")
    max_embedding_bytes: Rate | None = Field(None, description="of the table, which all candidates share")
    max_latency_ms: Rate | None = Field(
        None, description="measured for latency_batch rows before a candidate is scored; one beyond it counts as failed"
    )


# Keys that earlier versions did not have, left out of what is stored where they are not set.
LATER_OF_SEARCH = ("objectives", "limits", "latency_batch", "warm_start")


class SearchConfig(Model):
    """Search in the trained supernet. `preset` fills every key that is not given."""

    preset: Literal["published"] | None = Field(
        None, description="published: the authors' head, head_rows and score_rows"
    )
    algorithm: str = Field("regularized-evolution", description="search plug-in")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the algorithm")
    candidates: Positive = Field(200, description="architectures to score")
    in_flight: Positive = Field(1, description="asked before the first of them is told")
    objective: str = Field("log_loss", description="objective plug-in; best candidates are by this one")
    objectives: tuple[str, ...] = Field(
        (), description="several at once, the first is objective: [log_loss, live_macs]; for algorithm nsga2, predictor"
    )
    limits: LimitsConfig = Field(default_factory=lambda: LimitsConfig())
    latency_batch: Positive = Field(
        512, description="rows of latency_ms; clocks vary, so a search by it may propose others when run anew"
    )
    warm_start: str | None = Field(
        None, description="candidates.jsonl of an earlier search in this space: learnt from, not proposed again"
    )
    head: Literal["newton", "lbfgs", "adagrad"] = Field(
        "newton", description="how the last layer is refitted; adagrad: the authors' 500 steps"
    )
    head_rows: Positive = Field(
        65_536,
        description="training rows the last layer is refitted on (published: 256000); with 16384 rankings change "
        "(benchmarks/README.md)",
    )
    head_ridge: NotNegative = Field(1e-2, description="newton, lbfgs: pull towards the supernet's shared last layer")
    features: Literal["float32", "bfloat16"] = Field(
        "float32", description="inputs of the last layer are kept so for the refit; bfloat16 takes half the memory"
    )
    score_rows: Positive | None = Field(
        32_768, description="validation rows of the score (published: 1228800; null: all)"
    )
    early_rejection: Rate | None = Field(
        None,
        description="give up a candidate that is so many standard errors behind the best one on an eighth of the score "
        "rows (3 is careful); unset: never",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_preset(cls, given: Any) -> Any:
        preset = given.get("preset") if isinstance(given, dict) else None
        return BUDGETS[preset] | given if isinstance(preset, str) and preset in BUDGETS else given

    @model_validator(mode="before")
    @classmethod
    def _first_of_several(cls, given: Any) -> Any:
        """`objective` is the first of `objectives`, and one alone needs no list."""
        several = given.get("objectives") if isinstance(given, dict) else None
        if not isinstance(several, (list, tuple)) or not several:
            return given
        return {"objective": several[0]} | given | {"objectives": several if len(several) > 1 else ()}

    @model_validator(mode="after")
    def _paired(self) -> SearchConfig:
        if self.early_rejection is not None and self.objective != "log_loss":
            raise ValueError("early_rejection compares log losses row by row, so search.objective must be log_loss")
        if self.early_rejection is not None and self.objectives:
            raise ValueError("early_rejection knows one objective only: what loses most may still cost least")
        if self.objectives and self.objectives[0] != self.objective:
            raise ValueError(f"search.objective ({self.objective}) must be the first of search.objectives")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("search.objectives must name each one once")
        return self

    @property
    def all_objectives(self) -> tuple[str, ...]:
        """One or several."""
        return self.objectives or (self.objective,)

    @model_serializer(mode="wrap")
    def _without_later_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        defaults = {
            key: SearchConfig.model_fields[key].get_default(call_default_factory=True) for key in LATER_OF_SEARCH
        }
        return {key: value for key, value in content.items() if getattr(self, key) != defaults.get(key, ...)}


class WorkersConfig(Model):
    """Worker processes of a search, and what they may use. No score depends on these values."""

    batch: Positive = Field(16, description="candidates of one trial; a worker loads supernet and data once for them")
    isolate: bool = Field(
        False, description="score in a process of its own without --workers too, so that the two limits below hold"
    )
    candidate_seconds: Rate | None = Field(None, description="a candidate that takes longer is recorded as failed")
    candidate_memory_mib: Positive | None = Field(
        None, description="a candidate that needs more, on top of what a worker has loaded, is recorded as failed"
    )
    gpus: Annotated[int, Field(ge=0, strict=True)] = Field(0, description="GPUs of one worker (trialGpuNumber)")
    gpu_indices: tuple[Annotated[int, Field(ge=0, strict=True)], ...] | None = Field(
        None, description="GPUs that may be used, all visible ones if unset (gpuIndices)"
    )
    per_gpu: Positive = Field(1, description="workers that share one GPU (maxTrialNumberPerGpu)")
    use_active_gpu: bool = Field(False, description="use GPUs that other processes work on too (useActiveGpu)")


class SweepConfig(Model):
    """A recipe for each model of its own: trials with one seed, chosen by validation log loss."""

    trials: Annotated[int, Field(ge=2, strict=True)] = Field(
        8, description="of every model, searched or hand-made; the first is the recipe as it stands"
    )
    seed: Seed = Field(100, description="of proposals and trainings; not one of retrain.seeds")
    space: dict[str, Any] = Field(
        default_factory=dict,
        description="recipe keys, each a list or {low, high, log}; unset: learning_rate, embedding_l2 and dropout "
        "about the values of the presets",
    )


# Keys that earlier versions did not have, left out of what is stored where they are not set.
LATER_OF_RETRAIN = ("sweep",)


class RetrainConfig(Model):
    """Training from scratch of the best candidates beside hand-made models."""

    top_k: Annotated[int, Field(ge=0, strict=True)] = Field(
        2, description="best candidates to retrain; 0 trains no supernet and searches nothing"
    )
    random: Annotated[int, Field(ge=0, strict=True)] = Field(
        0, description="random architectures trained beside them, to compare"
    )
    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=1, description="one training each")
    layer_norm: bool = Field(False, description="layer norm behind linear maps (published: off)")
    recipe: RecipeField = Field(default_factory=lambda: Recipe.model_validate({"preset": "published"}))
    sweep: SweepConfig | None = Field(None, description="finds a recipe for each model first; unset: one for all")
    max_rows_per_field: TableRows | None = Field(None, description="table rows a field, all if unset")
    baselines: tuple[str, ...] = Field(
        ("lr", "mlp", "fm", "deepfm", "dlrm", "dcnv2"),
        description="hand-made models, same loop and recipe; `nasrec ls baselines` lists more",
    )
    baseline_options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="per baseline: hidden, cross_layers, …"
    )

    @model_serializer(mode="wrap")
    def _without_later_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        return {key: value for key, value in content.items() if value is not None or key not in LATER_OF_RETRAIN}


# Keys that earlier versions did not have, left out of what is stored where they are not set.
LATER_OF_RUN = ("budget",)


class Config(Model):
    """One run: data, space, supernet, search, retraining."""

    budget: Seconds | None = Field(
        None, description="wall time of the whole run, such as 30m or 1h30m: what does not fit is cut (docs/budget.md)"
    )
    seed: Seed = Field(0, description="of everything that is drawn")
    threads: Positive | None = Field(None, description="CPU threads of torch and numpy, all cores if unset")
    device: str = Field("auto", description="auto, cpu, cuda")
    devices: Positive = Field(1, description="processes that share each training batch: one a GPU, or on CPU cores")
    strategy: str = Field("auto", description="how they share it: auto or ddp, both copies that exchange gradients")
    precision: Precision = Field(
        "32-true", description="of training: 32-true, or bf16-mixed (weights and sums stay float32)"
    )
    data: DataConfig = Field(default_factory=lambda: DataConfig())
    space: SpaceConfig = Field(default_factory=lambda: SpaceConfig())
    supernet: SupernetConfig = Field(default_factory=lambda: SupernetConfig())
    search: SearchConfig = Field(default_factory=lambda: SearchConfig())
    retrain: RetrainConfig = Field(default_factory=lambda: RetrainConfig())
    workers: WorkersConfig = Field(default_factory=lambda: WorkersConfig())

    @model_validator(mode="after")
    def _no_sweep_by_the_clock(self) -> Config:
        if self.budget is not None and self.retrain.sweep is not None:
            raise ValueError(
                "budget and retrain.sweep exclude each other: a sweep spends the same trials on every model, which a "
                "time budget cannot promise; leave one of them away"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_later_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        return {key: value for key, value in content.items() if value is not None or key not in LATER_OF_RUN}
