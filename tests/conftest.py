"""One thread of torch for all tests: small tensors gain nothing from more, and a shared machine loses."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)
