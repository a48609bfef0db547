"""A network as programs that need none of our code: a `torch.export` archive, and ONNX."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.errors import UserError

INPUTS, OUTPUTS = ("dense", "sparse"), ("probability", "logit")
EXTERNAL = 3 << 29  # bytes of weights, 1.5 GiB, from which they lie beside an ONNX file, which may not reach 2 GiB
EXAMPLE = 4  # rows that a network is traced with


class Scores(nn.Module):
    """A network with both figures: `dense [B, w_0]`, ids `sparse [B, C]` to probability `[B]` and logit `[B]`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, dense: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
        logit = self.network(dense, sparse)
        return torch.sigmoid(logit), logit


def trace(network: nn.Module, dense_width: int, columns: int) -> torch.export.ExportedProgram:
    """The network as a graph of torch's own operations, for any number of rows from 1.

    Compiled kernels and data-dependent shapes step aside while `torch.compiler.is_compiling()`.

    Args:
        network: in evaluation mode, on the CPU.
        dense_width: `w_0`.
        columns: `C`, columns of ids.

    Raises:
        UserError: something in the network cannot be traced.
    """
    rows = torch.export.Dim("batch", min=1, max=2**31 - 1)
    example = torch.zeros(EXAMPLE, dense_width), torch.zeros(EXAMPLE, columns, dtype=torch.int64)
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(
                Scores(network), example, dynamic_shapes={"dense": {0: rows}, "sparse": {0: rows}}, strict=False
            )
    except Exception as error:  # a stranger's operator may raise anything
        raise _untraceable("traced by torch.export", error) from error


def save_program(program: torch.export.ExportedProgram, path: Path) -> None:
    """The archive for `torch.export.load`. Its name ends in `.pt2`."""
    with _quiet():
        torch.export.save(program, path)


def save_onnx(program: torch.export.ExportedProgram, path: Path) -> None:
    """The ONNX file; very large weights go into `<name>.data` beside it.

    Raises:
        UserError: an operation that ONNX does not have.
    """
    size = sum(weight.numel() * weight.element_size() for weight in program.state_dict.values())
    try:
        with _quiet(), torch.no_grad():
            made = torch.onnx.export(
                program, (), dynamo=True, verbose=False, input_names=list(INPUTS), output_names=list(OUTPUTS)
            )
            assert made is not None
            made.save(path, external_data=size >= EXTERNAL)
    except Exception as error:  # as above
        raise _untraceable("written as ONNX", error) from error


def need_onnx() -> None:
    """Raise the UserError of packages that writing and checking ONNX needs and that are not installed."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        need(name)


def need(name: str) -> Any:
    """An optional package. Raises UserError with the way to get it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(
            f"this needs the package {name}, which is not installed",
            hint="pip install 'nasrec-nni[export]', or do without: --skip onnx of `nasrec export`, --engine torch",
        ) from None


def _untraceable(what: str, error: Exception) -> UserError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = f"{type(error).__name__}: {(lines or [''])[0][:300]}"
    return UserError(
        f"the network cannot be {what} ({told})", hint="An operator without a fixed shape is the usual cause"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of packages that are not there and of its own future; nobody can act on that."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
