"""Large products by numpy's library: the same numbers as torch's, taken only where they gain; threads of both."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nasrec_nni import threads
from nasrec_nni.operators import linear
from nasrec_nni.operators.kernels import product
from nasrec_nni.operators.linear import multiply_add

SIZES = st.integers(1, 40)
ROWS, INPUTS, OUTPUTS = 512, 528, 512  # a large product


@pytest.fixture
def as_before() -> Iterator[None]:
    with threads.using_threads(None):
        yield


@pytest.fixture
def gaining(monkeypatch: pytest.MonkeyPatch, as_before: None) -> list[str]:
    """A processor on which numpy's products gain, in one thread; the list has one entry for each that was taken."""
    taken: list[str] = []
    real = product.Product.apply

    def apply(*given: Any) -> Any:
        taken.append("numpy")
        return real(*given)

    monkeypatch.setattr(product, "_processor_gains", lambda: True)
    monkeypatch.setattr(product.Product, "apply", apply)
    threads.set_threads(1)
    if not threads.one_thread():
        pytest.skip("numpy's products are not OpenBLAS's here")
    return taken


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, SIZES, st.booleans(), st.booleans(), st.integers(0, 2**32))
def test_product_and_its_gradients_are_those_of_float64(
    rows: int, inputs: int, outputs: int, by_columns: bool, sliced: bool, seed: int
) -> None:
    """Of inputs and gradients in any layout, and of slices of weights."""
    torch.manual_seed(seed)
    x = (torch.randn(inputs, rows).t() if by_columns else torch.randn(rows, inputs)).requires_grad_()
    whole = torch.randn(inputs + 3, outputs + 2)
    weight = (whole[:inputs, :outputs] if sliced else whole[:inputs, :outputs].clone()).requires_grad_()
    exact = [one.detach().double().requires_grad_() for one in (x, weight)]
    found, wanted = product.Product.apply(x, weight), exact[0] @ exact[1]
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-4)
    gradient = torch.randn(outputs, rows).t() if by_columns else torch.randn(rows, 1).expand(rows, outputs)
    slopes = torch.autograd.grad(found, (x, weight), gradient)
    wanted_slopes = torch.autograd.grad(wanted, exact, gradient.double())
    for slope, wanted_slope in zip(slopes, wanted_slopes, strict=True):
        torch.testing.assert_close(slope.double(), wanted_slope, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("started", ["nothing", "bias", "running sum"])
def test_a_large_product_is_numpys_whatever_it_is_added_to(started: str, gaining: list[str]) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(ROWS, INPUTS, requires_grad=True), torch.randn(INPUTS, OUTPUTS, requires_grad=True)
    start = {"nothing": None, "bias": torch.randn(OUTPUTS), "running sum": torch.randn(ROWS, OUTPUTS)}[started]
    asked = [x, weight] if start is None else [x, weight, start.requires_grad_()]
    wanted = x @ weight if start is None else start + x @ weight
    slopes = torch.autograd.grad(wanted.square().sum(), asked)
    found = multiply_add(start, x, weight)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-3)
    for one, other in zip(torch.autograd.grad(found.square().sum(), asked), slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.detach().abs().max()))
    assert gaining == ["numpy"]


def test_only_gradients_that_are_asked_for_are_made(gaining: list[str]) -> None:
    x, weight = torch.randn(ROWS, INPUTS), torch.randn(INPUTS, OUTPUTS, requires_grad=True)
    multiply_add(None, x, weight).sum().backward()
    assert gaining == ["numpy"]
    assert x.grad is None
    assert weight.grad is not None
    with torch.no_grad():
        assert not multiply_add(None, x, weight).requires_grad


def large() -> tuple[Tensor, Tensor]:
    return torch.randn(ROWS, INPUTS), torch.randn(INPUTS, OUTPUTS)


def test_torch_is_asked_for_what_gains_nothing(gaining: list[str]) -> None:
    x, weight = large()
    multiply_add(None, x[: ROWS // 2], weight)  # small
    multiply_add(None, torch.randn(1 << 16, 64), torch.randn(64, 48))  # many rows, a small weight
    multiply_add(None, x.double(), weight.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert multiply_add(None, x, weight).dtype == torch.bfloat16
    assert gaining == []
    threads.set_threads(2)
    multiply_add(None, x, weight)
    assert gaining == []


def test_torch_is_asked_on_other_processors(gaining: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "_processor_gains", lambda: False)
    multiply_add(None, *large())
    assert gaining == []


def test_an_exported_program_has_torchs_product(gaining: list[str]) -> None:
    class Map(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(INPUTS, OUTPUTS))

        def forward(self, x: Tensor) -> Tensor:
            return multiply_add(None, x, self.weight)

    program = torch.export.export(Map(), (torch.randn(ROWS, INPUTS),), dynamic_shapes=({0: torch.export.Dim("rows")},))
    assert gaining == []
    assert any("mm" in str(node.target) or "matmul" in str(node.target) for node in program.graph.nodes)


@pytest.mark.parametrize("name", ["znver3", "skylake-avx512"])
def test_which_processors_gain(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product.binding, "get_host_cpu_name", lambda: name)
    product._processor_gains.cache_clear()
    try:
        assert product._processor_gains() is (name == "znver3" and torch.backends.mkl.is_available())
    finally:
        product._processor_gains.cache_clear()


@pytest.mark.usefixtures("as_before")
def test_threads_of_torch_and_numpy_are_set_together_and_put_back() -> None:
    libraries = threads._numpy_libraries()
    threads.set_threads(2)
    with threads.using_threads(1):
        assert torch.get_num_threads() == 1
        assert all(library.get_num_threads() == 1 for library in libraries)
        assert threads.one_thread() is bool(libraries)
    assert torch.get_num_threads() == 2
    assert all(library.get_num_threads() == 2 for library in libraries)
    assert not threads.one_thread()
    with pytest.raises(KeyError), threads.using_threads(1):
        raise KeyError
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("as_before")
def test_torchs_one_thread_alone_leaves_numpys_as_they_are() -> None:
    """A user's own `torch.set_num_threads(1)` says nothing of numpy, whose products would then take all cores."""
    threads.set_threads(2)
    torch.set_num_threads(1)
    assert not threads.one_thread()


def test_training_without_large_products_loads_no_compiler() -> None:
    """Importing what operators are made of stays light: llvmlite and threadpoolctl come with the first large one."""
    code = (
        "import sys, nasrec_nni.operators.linear; print([n for n in ('llvmlite', 'threadpoolctl') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "[]"
    assert linear.LARGE_PRODUCT > ROWS * 512 * 256
