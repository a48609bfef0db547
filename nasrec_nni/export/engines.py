"""Who computes the logits of encoded rows: torch, or ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.errors import UserError

EngineName = Literal["torch", "onnx"]
ENGINES: tuple[EngineName, ...] = ("torch", "onnx")


class Engine(Protocol):
    """Encoded rows to logits."""

    def logits(self, dense: NDArray[np.float32], sparse: NDArray[np.int32]) -> NDArray[np.float32]:
        """`[n, w_0]`, `[n, C]` to `[n]`."""


class TorchEngine:
    """The network itself.

    Args:
        network: in evaluation mode.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self._device = next(network.parameters()).device

    def logits(self, dense: NDArray[np.float32], sparse: NDArray[np.int32]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(np.require(dense, requirements="W")).to(self._device)  # a mapped array is copied
            ids = torch.from_numpy(sparse.astype(np.int64)).to(self._device)
            found: NDArray[np.float32] = self.network(x, ids).float().cpu().numpy()
        return found


class OnnxEngine:
    """The ONNX file in ONNX Runtime, on the CPU.

    Args:
        path: the file.
        threads: of one run; None for as many as there are cores.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        from nasrec_nni.export.programs import need

        if not path.is_file():
            raise UserError(
                "the model has no ONNX file",
                where=str(path),
                hint="Export it without --skip onnx, or use --engine torch",
            )
        runtime = need("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def logits(self, dense: NDArray[np.float32], sparse: NDArray[np.int32]) -> NDArray[np.float32]:
        fed = {"dense": dense, "sparse": sparse.astype(np.int64)}
        found: NDArray[np.float32] = self._session.run(["logit"], fed)[0]
        return found
