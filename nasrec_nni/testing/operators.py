"""The suite of operators."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations, product
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nasrec_nni.architecture.description import Operator
from nasrec_nni.architecture.draw import random_architecture, stream
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Block
from nasrec_nni.network import NASRecNetwork, TableSettings
from nasrec_nni.network.build import build_operator, space_limits
from nasrec_nni.operators.inputs import Inputs, Rows
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes
from nasrec_nni.testing.cases import Case, cases, changed, random_inputs, tensors
from nasrec_nni.testing.counting import counted_macs, numbers
from nasrec_nni.testing.exporting import check_export, check_onnx
from nasrec_nni.testing.networks import DENSE, ROWS, SMALL, batch, check_supernet, supernet_of
from nasrec_nni.testing.slicing import check_round_trip, check_slices
from nasrec_nni.testing.suite import Conformance, close, draws_nothing, require, suite

SOURCES = 4
ARCHITECTURES = 4
KERNEL_BATCH = 1100  # rows from which the compiled kernels serve, at E = 4


class OperatorConformance(Conformance):
    """What a dense or sparse operator must keep; made by `operator_conformance`."""

    group: ClassVar[str] = "operators"
    onnx: ClassVar[bool] = True

    @property
    def operator(self) -> Operator:
        return self.load()  # type: ignore[no-any-return]

    def test_shapes_at_every_width_and_every_connection(self) -> None:
        """`[B, D]` or `[B, E, S]` at the sizes of the published spaces, a batch of one included."""
        space = SpaceDescription("conformance", (self.name,), (self.name,))
        sizes = Sizes.of(space, DENSE, len(ROWS), layer_norm=True)
        widths = space.dense_widths if self.operator.side == "dense" else space.sparse_rows
        limits = replace(space_limits(space, sizes, SOURCES), out=max(widths))
        module = build_operator(self.name, limits).eval()
        for number, (inputs, out) in enumerate(self._every(space, sizes, widths)):
            found = _call(module, inputs, out)
            rows = next(x for _, x in tensors(inputs)).shape[0]
            wanted = (rows, out) if self.operator.side == "dense" else (rows, space.embedding, out)
            told = f"{self.name}, call {number}"
            require(tuple(found.shape) == wanted, f"{told}: the output is {tuple(found.shape)}, not {wanted}")
            require(found.dtype == torch.float32, f"{told}: the output is {found.dtype}, not float32")
            require(bool(found.isfinite().all()), f"{told}: the output is not finite")

    def _every(self, space: SpaceDescription, sizes: Sizes, widths: tuple[int, ...]) -> Iterator[tuple[Inputs, int]]:
        """Every width once, every set of sources once; the sources' own widths take turns."""
        sets = [chosen for count in range(1, SOURCES + 1) for chosen in combinations(range(SOURCES), count)]
        pairs = list(product(range(SOURCES), repeat=2))
        for number in range(max(len(sets), len(pairs), len(widths))):
            columns = {0: sizes.dense} | {s: space.dense_widths[(number + 3 * s) % 8] for s in range(1, SOURCES)}
            rows = {0: (sizes.fields, 0)} | {
                s: (space.sparse_rows[(number + s) % 4], sizes.merger_rows * ((number + s) % 2))
                for s in range(1, SOURCES)
            }
            lists = (sets[number % len(sets)], sets[-1 - number % len(sets)], *((s,) for s in pairs[number]))
            inputs = random_inputs(self.operator, columns, rows, lists, space.embedding, 1 + number % 2)
            yield changed(inputs, Tensor.float), widths[number % len(widths)]

    def test_the_supernets_operator_is_the_networks_with_sliced_weights(self) -> None:
        """Outputs and gradients agree at random sizes, sources and settings; no gradient where nothing was used."""
        for case in cases(self.name):
            check_slices(case.supernets(), case.alone(), _run(case), case.told())

    def test_gradients_of_the_inputs_agree(self) -> None:
        for case in cases(self.name):
            whole, alone = case.supernets(), case.alone()
            found = [_input_gradients(case, module) for module in (whole, _sliced(whole, alone))]
            for (key, one), (_, other) in zip(*found, strict=True):
                close(one, other, f"{case.told()}: gradients of the {key} input differ")

    def test_reads_what_it_says_and_nothing_else(self) -> None:
        """Every list that `reads` names matters, and any other one may hold anything: it is not even looked at."""
        matters: set[str] = set()
        for case in cases(self.name):
            module = case.supernets().eval()
            for key, gradient in _input_gradients(case, module):
                matters |= {key} if bool(gradient.any()) else set()
            poisoned = _poisoned(case, self.operator)
            told = f"{case.told()}: a list that `reads` does not name changes the output"
            require(torch.equal(_call(module, poisoned, case.out), _call(module, case.inputs, case.out)), told)
        idle = set(self.operator.reads) - matters
        require(not idle, f"{self.name}: `reads` names {', '.join(sorted(idle))}, which never has an effect")

    def test_parameters_by_the_formula(self) -> None:
        for case in cases(self.name):
            says, has = self.operator.parameters(case.shape), numbers(case.alone())
            require(says == has, f"{case.told()}: `parameters` gives {says}, and the module has {has}")

    def test_macs_by_the_formula(self) -> None:
        """The formula is what a counter finds. Where left and right differ in width it may be more: the product with
        padding, which a module need not work on.
        """
        for case in cases(self.name):
            one = changed(case.inputs, lambda x: x[:1])
            counted = counted_macs(case.alone().eval(), _run(replace(case, inputs=one)))
            says = self.operator.macs(case.shape)
            told = f"{case.told()}: `macs` gives {says}, and a counter finds {counted}"
            padded = len({x.shape[1] for x in (*one.left, *one.right)}) > 1
            require(counted <= says if padded else counted == says, told)

    def test_a_row_does_not_see_the_others(self) -> None:
        """A batch of one gives what that row gives in any batch."""
        for case in cases(self.name):
            module = case.supernets().train()
            whole = _call(module, case.inputs, case.out)
            for row in range(len(whole)):
                alone = _call(module, changed(case.inputs, partial(_row, row)), case.out)
                close(alone, whole[row : row + 1], f"{case.told()}: a row depends on the other rows")

    def test_repeats_itself(self) -> None:
        """Equal seeds give equal weights; a run draws nothing, keeps its inputs, and is the same in training."""
        for case in cases(self.name)[:8]:
            torch.manual_seed(3)
            one = build_operator(self.name, case.own)
            torch.manual_seed(3)
            other = build_operator(self.name, case.own)
            for key, weight in one.state_dict().items():
                require(bool(weight.isfinite().all()), f"{case.told()}: {key} starts with values that are not finite")
                same = torch.equal(weight, other.state_dict()[key])
                require(same, f"{case.told()}: {key} starts differently at the same seed")
            module, before = copy.deepcopy(one).double(), changed(case.inputs, torch.clone)
            with draws_nothing(case.told()):
                found = [_call(module.train(mode), case.inputs, case.out) for mode in (True, True, False)]
            require(torch.equal(found[0], found[1]), f"{case.told()}: the same call gives another output")
            require(torch.equal(found[0], found[2]), f"{case.told()}: training and evaluation differ")
            for (key, now), (_, then) in zip(tensors(case.inputs), tensors(before), strict=True):
                require(torch.equal(now, then), f"{case.told()}: the {key} input was written over")

    def test_zeros_give_finite_outputs_and_gradients(self) -> None:
        """Behind a ReLU a source is often all zeros."""
        for case in cases(self.name):
            zeros = replace(case, inputs=changed(case.inputs, torch.zeros_like))
            module = case.supernets()
            module.zero_grad(set_to_none=True)
            told = f"{case.told()}, all zeros"
            for key, gradient in _input_gradients(zeros, module):
                require(bool(gradient.isfinite().all()), f"{told}: the gradient of the {key} input is not finite")
            odd = [name for name, p in module.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
            require(not odd, f"{told}: the gradients of {', '.join(odd)} are not finite")
            require(bool(_call(module, zeros.inputs, case.out).isfinite().all()), f"{told}: the output is not finite")

    def test_float32_agrees_with_float64(self) -> None:
        """At the size of a real batch, so that compiled kernels serve where there are any."""
        for case in cases(self.name)[:6]:
            inputs = changed(case.inputs, lambda x: x[:1] * torch.randn(KERNEL_BATCH, *[1] * (x.dim() - 1)).double())
            module = case.supernets()
            expected = _call(module, inputs, case.out)
            single = copy.deepcopy(module).float()
            found = _call(single, changed(inputs, Tensor.float), case.out)
            require(found.dtype == torch.float32, f"{case.told()}: the output is {found.dtype}, not float32")
            scale = max(1.0, float(expected.abs().max()))
            close(found.double() / scale, expected / scale, f"{case.told()}: float32 differs", rtol=1e-3, atol=1e-4)

    def test_state_goes_through_a_file(self) -> None:
        for case in cases(self.name)[:8]:
            module = case.supernets()
            for key, value in module.state_dict().items():
                require(isinstance(value, Tensor), f"{case.told()}: {key} of its state is no tensor")
            check_round_trip(module, case.supernets(), _run(case), case.told())

    def test_in_a_supernet(self) -> None:
        """Random architectures of a space with it: the central invariant, canonical form and costs as a whole."""
        check_supernet(self.space(), ARCHITECTURES, f"a space with {self.name}")

    def test_canonical_form(self) -> None:
        """Lists that it does not read are null; left and right of a symmetric one are exchanged without a trace."""
        space, names = self.space(), {"dense": "dense_connections", "sparse": "sparse_connections"}
        supernet = supernet_of(space, layer_norm=True)
        for number in range(ARCHITECTURES):
            architecture = self._live(space, number)
            last = architecture.canonical.blocks[-1]
            read = self.operator.reads | ({"sparse"} if self.operator.side == "dense" else {"dense"})
            for key in ("dense", "sparse", "left", "right"):
                value = getattr(last, names.get(key, key))
                require((value is None) == (key not in read), f"{self.name}: canonical {key} is {value}")
            if self.operator.symmetric:
                self._check_symmetry(supernet, architecture)

    def _check_symmetry(self, supernet: Any, architecture: Architecture) -> None:
        block = architecture.blocks[-1]
        other = _with_last(architecture, replace(block, left=block.right, right=block.left))
        require(other.id == architecture.id, f"{self.name}: left and right exchanged give another id")
        data, found = batch(3), []
        for one in (architecture, other):
            supernet.activate(Architecture(one.space, one.blocks).path)
            with torch.no_grad():
                found.append(supernet(*data))
        for case in cases(self.name):
            module = case.supernets()
            exchanged = replace(case.inputs, left=case.inputs.right, right=case.inputs.left)
            same = _call(module, exchanged, case.out)
            close(same, _call(module, case.inputs, case.out), f"{case.told()}: `symmetric`, and an exchange matters")
        close(found[0], found[1], f"{self.name}: left and right exchanged give another output")

    def test_export(self) -> None:
        """A network with it leaves as a `torch.export` program for any batch."""
        check_export(self._network(), _single(batch(3)), f"a network with {self.name}")

    def test_onnx(self) -> None:
        """The same network in ONNX Runtime."""
        if self.onnx:
            check_onnx(self._network(), _single(batch(3)), f"a network with {self.name}")

    def space(self) -> SpaceDescription:
        """A small space with the operator and one other a side."""
        changes: dict[str, Any] = {"dense_operators": ("fc",), "sparse_operators": ("efc",)}
        key = f"{self.operator.side}_operators"
        changes[key] = tuple(dict.fromkeys((self.name, *changes[key])))
        space: SpaceDescription = registry("search_spaces").load("nasrec-small")
        return space.with_sizes(**SMALL, **changes)

    def _live(self, space: SpaceDescription, number: int) -> Architecture:
        """A random architecture with the operator in every block, so in the last one, which is live."""
        architecture = random_architecture(space, stream(1, "conformance networks", number))
        if self.operator.side == "dense":
            blocks = [replace(block, dense_operator=self.name) for block in architecture.blocks]
        else:
            blocks = [replace(block, sparse_operator=self.name) for block in architecture.blocks]
        return Architecture(architecture.space, tuple(blocks))

    def _network(self) -> NASRecNetwork:
        space = replace(self.space(), blocks=2)
        sizes = Sizes.of(space, DENSE, len(ROWS), layer_norm=True)
        return NASRecNetwork(self._live(space, 0), sizes, TableSettings(ROWS, sparse_gradients=False)).eval()


def operator_conformance(name: str, *, onnx: bool = True) -> type[OperatorConformance]:
    """The suite of one operator.

    Args:
        name: as registered in `nasrec_nni.operators`.
        onnx: whether to try ONNX Runtime, which takes some seconds; it is skipped where it is not installed.
    """
    return suite(OperatorConformance, name, onnx=onnx)


def _run(case: Case) -> Callable[[nn.Module], Tensor]:
    return lambda module: module(case.inputs, case.out)


@torch.no_grad()
def _call(module: nn.Module, inputs: Inputs, out: int) -> Tensor:
    return module(inputs, out)  # type: ignore[no-any-return]


def _row(row: int, x: Tensor) -> Tensor:
    return x[row : row + 1]


def _sliced(whole: nn.Module, alone: nn.Module) -> nn.Module:
    from nasrec_nni.network import copy_slices

    copy_slices(dict(whole.named_parameters()), alone)
    return alone


def _input_gradients(case: Case, module: nn.Module) -> list[tuple[str, Tensor]]:
    """Of each input, by list; zeros where it has no effect."""
    inputs = changed(case.inputs, lambda x: x.clone().requires_grad_())
    output = module(inputs, case.out)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(output.shape, generator=generator, dtype=output.dtype)
    (output * weights).sum().backward()
    return [(key, torch.zeros_like(x) if x.grad is None else x.grad) for key, x in tensors(inputs)]


def _poisoned(case: Case, operator: Operator) -> Inputs:
    """The same inputs, and not-a-numbers in the lists that the operator does not read."""
    rows = next(x for _, x in tensors(case.inputs)).shape[0]
    bad = torch.full((rows, 7), torch.nan, dtype=torch.float64)
    more = torch.full((rows, case.own.embedding, 5), torch.nan, dtype=torch.float64)
    return Inputs(
        case.inputs.dense if "dense" in operator.reads else {0: bad},
        case.inputs.sparse if "sparse" in operator.reads else {0: Rows(more)},
        case.inputs.left if "left" in operator.reads else (bad,),
        case.inputs.right if "right" in operator.reads else (bad,),
    )


def _with_last(architecture: Architecture, block: Block) -> Architecture:
    return replace(architecture, blocks=(*architecture.blocks[:-1], block))


def _single(data: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return data[0].float(), data[1]
