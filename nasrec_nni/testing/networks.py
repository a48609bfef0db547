"""The central invariant: a supernet restricted to a path is the network of that path with the sliced weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrec_nni.architecture.draw import random_architecture, stream
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Path
from nasrec_nni.network import NASRecNetwork
from nasrec_nni.profiling import profile
from nasrec_nni.testing.cases import randomised
from nasrec_nni.testing.counting import numbers
from nasrec_nni.testing.slicing import check_slices
from nasrec_nni.testing.suite import require

DENSE, ROWS = 5, (7, 5, 11)
# Small, but with the skips of every map: 8 E = 64 columns, a width of E = 8, a dense input of another width.
SMALL: dict[str, Any] = {
    "blocks": 3,
    "dense_widths": (8, 16, 64),
    "sparse_rows": (4, 8),
    "embedding": 8,
    "heads": 4,
}


def supernet_of(space: SpaceDescription, layer_norm: bool) -> Any:
    """A supernet of a registered space at these sizes, every weight random, in float64."""
    from nasrec_nni.search_spaces.space import NASRecSpace
    from nasrec_nni.strategies.one_shot.strategies import SingleOperatorAnyConnection

    keys = ("dense_operators", "sparse_operators", "blocks", "dense_widths", "sparse_rows", "max_connections")
    sizes = {key: getattr(space, key) for key in (*keys, "embedding", "heads")}
    made = NASRecSpace(
        dense=DENSE, rows_per_field=ROWS, space=space.name, layer_norm=layer_norm, sparse_gradients=False, **sizes
    )
    return randomised(SingleOperatorAnyConnection().mutate_model(made))


def batch(size: int, dense: int = DENSE, rows: Sequence[int] = ROWS) -> tuple[Tensor, Tensor]:
    """Random rows: `[B, w_0]` and ids `[B, F]`."""
    ids = torch.stack([torch.randint(one, (size,)) for one in rows], 1)
    return torch.randn(size, dense, dtype=torch.float64), ids


def check_path(supernet: Any, path: Path, told: str) -> NASRecNetwork:
    """Outputs and gradients of one path, in training and evaluation; returns its network with the sliced weights."""
    data = batch(3)
    supernet.activate(path)
    network: NASRecNetwork = supernet.network(path)
    check_slices(supernet, network, lambda model: model(*data), told)
    return network


def check_costs(architecture: Architecture, network: NASRecNetwork, told: str) -> None:
    """Parameters by the formulas are those that the network has."""
    table = numbers(network.embedding)
    live = profile(architecture, network.sizes).live_parameters
    built = numbers(network) - table
    require(live == built, f"{told}: the formulas give {live} live parameters, and the network has {built}")


def check_equal_ids(supernet: Any, architecture: Architecture, other: Architecture, told: str) -> None:
    """What the canonical form leaves out may be anything: same id, same output to the bit."""
    canonical = architecture.canonical
    filled = Architecture(
        architecture.space,
        tuple(
            type(own)(
                **{key: value if value is not None else getattr(strange, key) for key, value in vars(own).items()}
            )
            for own, strange in zip(canonical.blocks, other.blocks, strict=True)
        ),
    )
    require(filled.id == architecture.id == canonical.id, f"{told}: the id depends on what has no effect")
    data = batch(3)
    with torch.no_grad():
        supernet.activate(architecture.path)
        expected = supernet(*data)
        supernet.activate(filled.path)
        found = supernet(*data)
    require(torch.equal(found, expected), f"{told}: equal ids, and different outputs")


def check_supernet(space: SpaceDescription, count: int, told: str, layer_norms: Sequence[bool] = (True, False)) -> None:
    """The invariants for random architectures of a space.

    Args:
        space: a registered one, sizes may differ.
        count: how many architectures for each setting of layer norm.
        told: what is tested, for errors.
        layer_norms: settings.
    """
    for layer_norm in layer_norms:
        supernet = supernet_of(space, layer_norm)
        for number in range(count):
            generator = stream(0, "conformance networks", number)
            architecture, other = random_architecture(space, generator), random_architecture(space, generator)
            network = check_path(supernet, architecture.path, told)
            check_costs(architecture, network, told)
            check_equal_ids(supernet, architecture, other, told)
            check_training(network, told)


def check_training(network: nn.Module, told: str) -> None:
    """One step of training is finite."""
    network.zero_grad(set_to_none=True)
    loss = F.binary_cross_entropy_with_logits(network(*batch(4)), torch.tensor([0.0, 1, 1, 0], dtype=torch.float64))
    loss.backward()  # type: ignore[no-untyped-call]
    odd = [name for name, one in network.named_parameters() if one.grad is not None and not one.grad.isfinite().all()]
    require(not odd, f"{told}: the gradients of {', '.join(odd)} are not finite")
