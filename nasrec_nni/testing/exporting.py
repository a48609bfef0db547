"""Whether a network can leave for production as `nasrec export` writes it: torch.export and ONNX, for any batch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasrec_nni.testing.suite import close

NEEDED = ("onnx", "onnxscript", "onnxruntime")
Rows = tuple[Tensor, Tensor]


@torch.no_grad()
def check_export(model: nn.Module, rows: Rows, told: str) -> None:
    """The program gives the model's logits at a batch of 1, of the given size, and of twice that.

    Args:
        model: `dense [B, w_0]`, ids `sparse [B, C]` to logits `[B]`.
        rows: a batch.
        told: what is tested, for errors.
    """
    from nasrec_nni.export.programs import trace

    program = trace(model.eval(), rows[0].shape[1], rows[1].shape[1]).module()
    for dense, sparse in _batches(rows):
        _, logits = program(dense, sparse)
        close(logits, model(dense, sparse), f"{told}: the exported program differs", rtol=1e-5, atol=1e-6)


@torch.no_grad()
def check_onnx(model: nn.Module, rows: Rows, told: str) -> None:
    """ONNX Runtime gives the model's logits; skipped where it is not installed."""
    if lacking := [name for name in NEEDED if find_spec(name) is None]:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    from nasrec_nni.export.engines import OnnxEngine
    from nasrec_nni.export.programs import save_onnx, trace

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save_onnx(trace(model.eval(), rows[0].shape[1], rows[1].shape[1]), path)
        engine = OnnxEngine(path, threads=1)
        for dense, sparse in _batches(rows):
            found = torch.from_numpy(engine.logits(dense.numpy(), sparse.numpy().astype(np.int32)))
            close(found, model(dense, sparse), f"{told}: ONNX Runtime differs", rtol=1e-4, atol=1e-5)


@torch.no_grad()
def check_part(part: nn.Module, x: Tensor, told: str) -> None:
    """The same as `check_export` for a part with one input."""
    batch = torch.export.Dim("batch", min=1, max=2**31 - 1)
    program = torch.export.export(part.eval(), (x,), dynamic_shapes=({0: batch},), strict=False).module()
    for rows in (x[:1], x, torch.cat((x, x))):
        close(program(rows), part(rows), f"{told}: the exported program differs", rtol=1e-5, atol=1e-6)


def _batches(rows: Rows) -> list[Rows]:
    dense, sparse = rows
    return [(dense[:1], sparse[:1]), rows, (torch.cat((dense, dense)), torch.cat((sparse, sparse)))]
