"""The suites of `nasrec_nni.testing` find what they are there for: each fault by the check that is named for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasrec_nni.architecture.draw import random_architecture, stream
from nasrec_nni.authoring import (
    ColumnMap,
    Inputs,
    Limits,
    Operator,
    SpaceDescription,
    Unique,
    linear_parameters,
    padded_sum,
    take,
    xavier,
)
from nasrec_nni.plugins import registry, resolve
from nasrec_nni.testing import (
    objective_conformance,
    one_shot_conformance,
    operator_conformance,
    search_conformance,
    search_space_conformance,
)


class Good(nn.Module):
    """An FC; the faults below are its subclasses."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.map = ColumnMap(limits.dense, limits.out, limits.layer_norm)

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        return torch.relu(self.map(inputs.dense, out))


class Wide(Good):
    def forward(self, inputs: Inputs, out: int) -> Tensor:
        return torch.cat((super().forward(inputs, out), torch.zeros(len(next(iter(inputs.dense.values()))), 1)), 1)


class WholeWidth(Good):
    """Divides by the width it was built for."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.most = limits.out

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        return super().forward(inputs, out) / self.most


class LastColumns(Good):
    """Slices a weight from its end."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.scale = nn.Parameter(torch.randn(limits.out))

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        return super().forward(inputs, out) * self.scale[-out:]


class Untaken(LastColumns):
    """Slices it from its start, but not by `take`."""

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        return Good.forward(self, inputs, out) * self.scale[:out]


class Peeks(Good):
    def forward(self, inputs: Inputs, out: int) -> Tensor:
        found = super().forward(inputs, out)
        return found + sum(x.tensor.sum() for x in inputs.sparse.values())


class BatchNorm(Good):
    def forward(self, inputs: Inputs, out: int) -> Tensor:
        found = super().forward(inputs, out)
        return found - found.mean(0, keepdim=True)


class Dropout(Good):
    def forward(self, inputs: Inputs, out: int) -> Tensor:
        return nn.functional.dropout(super().forward(inputs, out), 0.5, self.training)


class InPlace(Good):
    def forward(self, inputs: Inputs, out: int) -> Tensor:
        found = super().forward(inputs, out)
        with torch.no_grad():
            for x in inputs.dense.values():
                x.mul_(2)
        return found


class Root(Good):
    def forward(self, inputs: Inputs, out: int) -> Tensor:
        return super().forward(inputs, out) + sum(x.square().sum(1, keepdim=True).sqrt() for x in inputs.dense.values())


class Empty(Good):
    """Memory that nobody has set."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.offset = nn.Parameter(torch.full((limits.out,), torch.nan))

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        return super().forward(inputs, out) + take(self.offset, out)


class HalfPrecision(Good):
    def forward(self, inputs: Inputs, out: int) -> Tensor:
        found = super().forward(inputs, out)
        return found.to(torch.bfloat16).to(found.dtype)


class Difference(nn.Module):
    """Left minus right: not symmetric."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.weight = xavier((limits.widest, limits.out), limits.widest, limits.out)

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        left, right = padded_sum(inputs.left), padded_sum(inputs.right)
        width = left.shape[1]
        found = left @ take(self.weight, width, out)
        return found - right @ take(self.weight, right.shape[1], out)


class Python(Good):
    """Looks at values, which no exported program can."""

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        found = super().forward(inputs, out)
        return found if float(found.detach().sum()) > 0 else found * 2


OPERATOR = Operator(
    "bad",
    "dense",
    frozenset({"dense"}),
    lambda shape: shape.columns * shape.out,
    lambda shape: linear_parameters(shape.columns, shape.out, shape.layer_norm),
    "",
)
BOTH = frozenset({"left", "right"})
CHANGES: dict[str, Any] = {
    "extra": {"reads": frozenset({"dense", "sparse"})},
    "macs": {"macs": lambda shape: shape.columns * shape.out + 1},
    "parameters": {"parameters": lambda shape: shape.columns * shape.out},
    "symmetric": {"reads": BOTH, "symmetric": True},
}
SLICES = "test_the_supernets_operator_is_the_networks_with_sliced_weights"
FAULTS: list[tuple[type[nn.Module], str, str, str]] = [
    (Wide, "", "test_shapes_at_every_width_and_every_connection", "the output is"),
    (WholeWidth, "", SLICES, "differ in their output"),
    (LastColumns, "", SLICES, "differ in their output"),
    (Untaken, "", SLICES, "sliced without `take`"),
    (WholeWidth, "", "test_gradients_of_the_inputs_agree", "gradients of the dense input"),
    (WholeWidth, "", "test_in_a_supernet", "differ in their output"),
    (Peeks, "", "test_reads_what_it_says_and_nothing_else", "does not name changes the output"),
    (Good, "extra", "test_reads_what_it_says_and_nothing_else", "names sparse, which never has an effect"),
    (Good, "macs", "test_macs_by_the_formula", "a counter finds"),
    (Good, "parameters", "test_parameters_by_the_formula", "and the module has"),
    (Good, "parameters", "test_in_a_supernet", "live parameters"),
    (BatchNorm, "", "test_a_row_does_not_see_the_others", "depends on the other rows"),
    (Dropout, "", "test_repeats_itself", "draws from a global generator"),
    (InPlace, "", "test_repeats_itself", "another output|written over"),
    (Empty, "", "test_repeats_itself", "not finite"),
    (Root, "", "test_zeros_give_finite_outputs_and_gradients", "not finite"),
    (HalfPrecision, "", "test_float32_agrees_with_float64", "float32 differs"),
    (Difference, "symmetric", "test_canonical_form", "an exchange matters"),
    (Python, "", "test_export", "cannot be traced by torch.export"),
]


def bad(monkeypatch: pytest.MonkeyPatch, group: str, plugin: Any) -> None:
    monkeypatch.setitem(registry(group)._loaded, "bad", plugin)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    from nasrec_nni.testing.cases import cases

    cases.cache_clear()
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("kind", "change", "check", "words"), FAULTS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_bad_operator(
    kind: type[nn.Module], change: str, check: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = replace(OPERATOR, target=f"{__name__}:{kind.__name__}", **CHANGES.get(change, {}))
    bad(monkeypatch, "operators", described)
    real = resolve
    monkeypatch.setattr(
        "nasrec_nni.plugins.registries.resolve", lambda target: kind if target == described.target else real(target)
    )
    with pytest.raises(Exception, match=words) as caught:
        getattr(operator_conformance("bad", onnx=False)(), check)()
    assert check == "test_export" or isinstance(caught.value, AssertionError)


def test_a_good_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    bad(monkeypatch, "operators", replace(OPERATOR, target="somewhere:Good"))
    monkeypatch.setattr("nasrec_nni.plugins.registries.resolve", lambda target: Good)
    checks = operator_conformance("bad", onnx=False)()
    for _, _, check, _ in FAULTS:
        if check not in ("test_in_a_supernet", "test_export"):
            getattr(checks, check)()


# ---- search algorithms ---------------------------------------------------------------------------------------------


class Searcher:
    """A good random search; the faults are its subclasses."""

    def __init__(
        self, space: Any, seed: int, options: Mapping[str, Any] | None = None, budget: int | None = None
    ) -> None:
        if options:
            from nasrec_nni.errors import UserError

            raise UserError(f"unknown options {sorted(options)}")
        self.space, self.seed, self.asked = space, seed, 0
        self.unique = Unique(space, None, ())

    def ask(self) -> Any:
        from nasrec_nni.authoring import new_random

        self.asked += 1
        return new_random(self.space, self.seed, self.unique)

    def tell(self, architecture: Any, value: float | None, failure: str | None = None) -> None:
        """Nothing is learnt."""


class Clock(Searcher):
    def ask(self) -> Any:
        self.asked += 1
        return random_architecture(self.space, np.random.default_rng(random.SystemRandom().getrandbits(32)))


class Repeats(Searcher):
    def ask(self) -> Any:
        self.asked += 1
        return random_architecture(self.space, stream(self.seed, "x", self.asked // 2))


class Strays(Searcher):
    def ask(self) -> Any:
        found = super().ask()
        return found and replace(found, blocks=(replace(found.blocks[0], dense_width=17), *found.blocks[1:]))


class Endless(Searcher):
    def ask(self) -> Any:
        return super().ask() or random_architecture(self.space, stream(self.seed, "x", self.asked))


class Global(Searcher):
    def ask(self) -> Any:
        np.random.random()
        return super().ask()


class Careless(Searcher):
    def __init__(self, space: Any, seed: int, options: Any = None, budget: int | None = None) -> None:
        super().__init__(space, seed, None, budget)


SEARCHES: list[tuple[type[Searcher], str]] = [
    (Clock, "test_the_sequence_is_a_function_of_the_seed"),
    (Global, "test_the_sequence_is_a_function_of_the_seed"),
    (Clock, "test_stopped_anywhere_it_goes_on_the_same"),
    (Repeats, "test_candidates_belong_to_the_space_and_none_comes_twice"),
    (Strays, "test_candidates_belong_to_the_space_and_none_comes_twice"),
    (Endless, "test_a_small_space_is_exhausted_and_then_nothing_is_proposed"),
    (Careless, "test_unknown_options_are_refused"),
]


@pytest.mark.parametrize(("kind", "check"), SEARCHES, ids=lambda value: getattr(value, "__name__", value))
def test_a_bad_algorithm(kind: type[Searcher], check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run: Callable[[], None] = getattr(search_conformance("bad")(), check)
    bad(monkeypatch, "search", Searcher)
    run()
    bad(monkeypatch, "search", kind)
    with pytest.raises((Exception, pytest.fail.Exception)):
        run()


# ---- spaces, distributions, objectives -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dense_to_sparse": "fm"}, "feeds the dense output"),
        ({"dense_widths": (32, 16)}, "ascending"),
        ({"dense_operators": ("efc",)}, "is a sparse operator"),
        ({"sparse_operators": ("not-there",)}, "no operators plug-in"),
    ],
)
def test_a_bad_space(changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bad(monkeypatch, "search_spaces", replace(SpaceDescription("bad", ("fc",), ("efc",)), **changes))
    with pytest.raises(Exception, match=words):
        search_space_conformance("bad")().test_its_operators_and_mergers_can_be_used()


def test_a_bad_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    good = registry("one_shot").load("full")

    def draw(space: Any, generator: Any, counts: Any) -> Any:
        path = good.draw(space, generator, counts)
        return replace(path, blocks=(*path.blocks[:-1], replace(path.blocks[-1], left=(0, 99))))

    def draw_by_chance(space: Any, generator: Any, counts: Any) -> Any:
        return good.draw(space, np.random.default_rng(random.getrandbits(32)), counts)

    for call, check in (
        (draw, "test_paths_belong_to_the_space"),
        (draw_by_chance, "test_draws_are_a_function_of_the_generator"),
    ):
        bad(monkeypatch, "one_shot", SimpleNamespace(name="bad", draw=call, warms_up=True))
        with pytest.raises(AssertionError):
            getattr(one_shot_conformance("bad")(), check)()


def test_a_bad_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(
        name="bad", minimise=False, figure="log_loss", measured=True, value=lambda f: f.log_loss or 0.0
    )
    bad(monkeypatch, "objectives", found)
    checks = objective_conformance("bad")()
    for check in ("a_better_figure_has_a_lower_value", "what_a_clock_measures_says_so"):
        with pytest.raises(AssertionError):
            getattr(checks, f"test_{check}")()
    with pytest.raises(pytest.fail.Exception):
        checks.test_a_figure_that_does_not_exist_is_the_users_error()
