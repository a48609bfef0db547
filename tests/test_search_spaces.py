"""The spaces as NNI model spaces: everything NNI does with a space works on ours."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from nni.mutable import SampleValidationError
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace, model_context
from nni.nas.strategy import RegularizedEvolution
from numpy.random import RandomState

from nasrec_nni.architecture.draw import random_architecture
from nasrec_nni.errors import UserError
from nasrec_nni.network import NASRecNetwork
from nasrec_nni.search_spaces.connections import Subset, SubsetChoice
from nasrec_nni.search_spaces.samples import KEYS, from_sample, to_sample
from nasrec_nni.search_spaces.space import NASRecFull, NASRecPlus, NASRecSmall, NASRecSpace

SIZES = {"blocks": 3, "dense_widths": (16, 32), "sparse_rows": (4, 8)}
ROWS = (7, 5, 11)


@pytest.fixture(params=[NASRecSmall, NASRecFull, NASRecPlus])
def space(request: pytest.FixtureRequest) -> NASRecSpace:
    return request.param(dense=5, rows_per_field=ROWS, **SIZES)


def draw(space: NASRecSpace, seed: int) -> dict:
    sample: dict = {}
    space.random(sample, random_state=RandomState(seed))
    return sample


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(4, 5), torch.randint(0, 5, (4, 3))


def test_simplify_lists_every_label(space: NASRecSpace) -> None:
    assert set(space.simplify()) == {f"block{number}/{key}" for number in (1, 2, 3) for key in KEYS}


def test_random_samples_are_reproducible_and_in_the_space(space: NASRecSpace) -> None:
    for seed in range(30):
        sample = draw(space, seed)
        assert sample == draw(space, seed)
        assert space.contains(sample)
        architecture = from_sample(sample, space.description)
        assert to_sample(architecture, space.description) == sample


def test_model_context_and_freeze_build_the_same_plain_network(space: NASRecSpace) -> None:
    sample = draw(space, 1)
    with model_context(sample):
        inside = type(space)(dense=5, rows_per_field=ROWS, **SIZES)
    frozen = space.freeze(sample)
    assert type(inside) is type(frozen) is NASRecNetwork
    assert {n: p.shape for n, p in inside.named_parameters()} == {n: p.shape for n, p in frozen.named_parameters()}
    assert inside(*batch()).shape == (4,)
    assert not any(a is b for a in frozen.parameters() for b in space.parameters())


def test_unmutated_space_runs_its_default(space: NASRecSpace) -> None:
    assert space(*batch()).shape == (4,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block1/dense_operatr": "fc"}, "unknown label"),
        ({"block2/dense_connections": []}, "list of sources"),
        ({"block2/dense_connections": [0, 5]}, "sources below 2"),
        ({"block3/dense_width": 48}, "16, 32"),
        ({"block3/left": [0, 1]}, "one source"),
        ({"block3/dense_to_sparse": True}, "on, off"),
    ],
)
def test_wrong_samples_are_refused(space: NASRecSpace, change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        space.freeze(draw(space, 0) | change)


def test_missing_label_is_refused(space: NASRecSpace) -> None:
    sample = draw(space, 0)
    del sample["block2/right"]
    with pytest.raises(UserError, match="missing"):
        space.freeze(sample)


def test_grid_walks_a_small_space_completely(monkeypatch: pytest.MonkeyPatch) -> None:
    space = NASRecSmall(dense=5, rows_per_field=ROWS, blocks=2, dense_widths=(16,), sparse_rows=(4,))
    walked: list[dict] = []

    def freeze(self: NASRecSpace, sample: dict) -> str:
        walked.append(dict(sample))
        return from_sample(sample, self.description).id

    monkeypatch.setattr(NASRecSpace, "freeze", freeze)
    ids = set(space.grid())
    # per block: 2 operators, 2 x 2 mergers; block 2 also 3 x 3 subsets and 2 x 2 sides
    assert len(walked) == len({json.dumps(sample, sort_keys=True) for sample in walked}) == 8 * 8 * 9 * 4
    assert all(space.contains(sample) for sample in walked)
    generator = np.random.default_rng(0)
    assert {random_architecture(space.description, generator).id for _ in range(500)} <= ids


def test_grid_of_a_one_block_space_is_all_its_networks() -> None:
    space = NASRecSmall(dense=5, rows_per_field=ROWS, blocks=1, dense_widths=(16,), sparse_rows=(4,))
    networks = list(space.grid())
    assert all(type(network) is NASRecNetwork for network in networks)
    assert len({str(network.path) for network in networks}) == len(networks) == 2 * 2 * 2
    assert all(network(*batch()).shape == (4,) for network in networks)


def test_grid_of_a_subset_is_bounded() -> None:
    values = [tuple(value) for value in Subset(range(4), 2, label="x").grid()]
    assert len(values) == len(set(values)) == 4 + 6


def test_subset_is_never_empty_and_bounded() -> None:
    subset = Subset(range(5), 3, label="x")
    drawn = [subset.random(random_state=RandomState(seed)) for seed in range(300)]
    assert {len(value) for value in drawn} == {1, 2, 3}
    assert all(value == sorted(set(value)) for value in drawn)
    for bad in ([], [0, 1, 2, 3], (0, 1), [0, 0], [7]):
        assert isinstance(subset.check_contains({"x": bad}), SampleValidationError)
    assert subset.freeze({"x": [2, 0]}) == [0, 2]


def test_subset_choice_keeps_nnis_signature_under_model_context() -> None:
    with model_context({"x": [0, 2]}):
        chosen = SubsetChoice(3, 2, "none", label="x")
    assert chosen([10, 20, 30]) == [10, 30]


def test_web_page_space_is_json(space: NASRecSpace) -> None:
    shown = {label: mutable.as_legacy_dict() for label, mutable in space.simplify().items()}
    text = json.loads(json.dumps(shown))
    assert text["block1/dense_connections"] == {"_type": "choice", "_value": [[0]]}
    assert text["block3/sparse_connections"]["_value"][-1] == [0, 1, 2]
    assert all(entry["_type"] == "choice" for entry in text.values())


def test_nni_evolution_runs_on_the_sequential_engine(space: NASRecSpace) -> None:
    """NNI's own strategy mutates our mutables and only ever proposes networks of the space."""
    seen: list[NASRecNetwork] = []

    def evaluate(network: NASRecNetwork) -> None:
        import nni

        seen.append(network)
        nni.report_final_result(float(sum(p.numel() for p in network.parameters())))

    from nni.nas.evaluator import FunctionalEvaluator

    model = RawFormatModelSpace(space, FunctionalEvaluator(evaluate))
    strategy = RegularizedEvolution(population_size=5, sample_size=3, dedup=False, seed=0)
    strategy(model, SequentialExecutionEngine(max_model_count=15))
    assert len(seen) == 15
    assert len({json.dumps(str(network.path)) for network in seen}) > 5


def test_samples_of_canonical_architectures_are_complete(space: NASRecSpace) -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        architecture = random_architecture(space.description, generator)
        sample = to_sample(architecture.canonical, space.description)
        assert space.contains(sample)
        assert from_sample(sample, space.description).id == architecture.id
