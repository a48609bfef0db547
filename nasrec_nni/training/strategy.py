"""Lightning's side of a data-parallel training: the process group and nothing else."""

from __future__ import annotations

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy


class RankStrategy(DDPStrategy):
    """DDP without DistributedDataParallel: the optimizer exchanges gradients (`optimizers.exchange`).

    Lightning sets up the process group (gloo on CPUs, nccl on GPUs), lets rank 0 alone write checkpoints and logs,
    and waits for it. Every rank begins with the weights of rank 0.
    """

    def __init__(self) -> None:
        # by name: on a cluster's node Lightning would otherwise read the ranks of the job, not those of `launch`
        super().__init__(cluster_environment=LightningEnvironment())

    @torch.no_grad()
    def configure_ddp(self) -> None:
        assert self.model is not None
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            dist.broadcast(tensor.detach(), 0)
