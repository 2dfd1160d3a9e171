"""Wraps DeepSpeed, which no other file imports: process group, engine, updates, and moments by parameter name.

Moments are read and set as whole fp32 tensors under the names of their parameters, so a checkpoint depends on neither
ZeRO stage nor number of ranks, and needs neither a pickle nor DeepSpeed's own checkpoint files. What this leaves out:
files (`checkpoints`) and what the loss is (`loss`).
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import deepspeed
import torch
from deepspeed.runtime import compiler
from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state
from torch import Tensor, nn
from torch.nn import functional

from mstar.memory_plan import BUCKET
from mstar.train_recipe import Optimizer, Precision, TrainRecipe
from mstar_trainer.adapters import (
    adapted_weights,
    adapter_parameters,
    factors,
    merged,
    plain_name,
    unpacked,
    whole_size,
)
from mstar_trainer.loss import MicroBatch

MOMENTS = {Optimizer.ADAMW: ("exp_avg", "exp_avg_sq"), Optimizer.SGD: ("momentum_buffer",)}
"""What each optimizer keeps for every trained weight."""
MOMENTUM = 0.9
MASTER = "master"
"""Name of the fp32 weights where the model itself is bfloat16."""


def join_ranks(rank: int, ranks: int, meeting: str) -> None:
    """Make the process group of all ranks.

    `meeting`: a URL of torch.distributed, a file on one machine, so that no port is opened, or `tcp://` and the first
    of several machines.
    """
    # DeepSpeed would otherwise compile its shared-memory all-reduce at run time: half a minute, and a compiler, on
    # every fresh machine. Gloo does the same work.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    _import_muon()
    deepspeed.init_distributed(
        dist_backend="nccl" if torch.cuda.is_available() else "gloo",
        auto_mpi_discovery=False,
        verbose=False,
        init_method=meeting,
        rank=rank,
        world_size=ranks,
    )


def _import_muon() -> None:
    """Import what DeepSpeed asks whether an optimizer is Muon, without torch's compiler.

    Its kernels are marked for compilation, which has every rank import 650 modules of torch at its start; none is run.
    """
    compile_kernels = compiler.compile
    compiler.compile = lambda: compiler.dummy_decorator
    try:
        importlib.import_module("deepspeed.runtime.zero.muon.muon_optimizer")
    finally:
        compiler.compile = compile_kernels


def dtype_of(settings: TrainRecipe) -> torch.dtype:
    """Type of weights and activations in training on this machine."""
    if settings.dtype is Precision.AUTO:
        return torch.bfloat16 if torch.cuda.is_available() else torch.float32
    return torch.bfloat16 if settings.dtype is Precision.BF16 else torch.float32


class TrainingEngine:
    """A model under DeepSpeed: in fp32, or in bfloat16 with fp32 master weights of what trains."""

    def __init__(self, objective: nn.Module, model: nn.Module, settings: TrainRecipe) -> None:
        """`objective` maps a Batch to a scalar tensor, a sum, and contains `model`, whose parameters give the names.

        The model has the type that `dtype_of` says, which is also that of the first master weights.
        """
        self.half = dtype_of(settings) is torch.bfloat16
        self._moments = MOMENTS[settings.optimizer]
        self._named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        # The reentrant kind needs an input that has a gradient, which frozen embeddings do not give.
        if settings.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
        self._engine, self._zero, _, _ = deepspeed.initialize(
            model=objective,
            optimizer=_optimizer(list(self._named.values()), settings),
            model_parameters=list(self._named.values()),
            config=engine_config(settings),
        )
        self._engine.train()
        self.model = model
        self.ranks: int = self._engine.world_size
        self.rank: int = self._engine.global_rank
        self.device: torch.device = self._engine.device
        self._partitioned = settings.zero_stage == 3

    def update(self, batches: Sequence[tuple[MicroBatch, float]], learning_rate: float) -> float:
        """Do one optimizer step over this rank's micro-batches; return the weighted sum of all ranks' losses.

        Each batch has a factor for its loss: one over the step's total of scored places, or 0 for a batch that only
        keeps this rank in step with the others.
        """
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        for place, (batch, factor) in enumerate(batches):
            self._engine.set_gradient_accumulation_boundary(place == len(batches) - 1)
            part = self._engine(batch) * factor
            # DeepSpeed averages gradients over ranks; the factor already divides by the total of all ranks.
            self._engine.backward(part * self.ranks, scale_wrt_gas=False)
            loss += part.detach().double()
        # Not by a scheduler of DeepSpeed's: the rate follows from recipe and place (`schedule`) and has no state.
        for group in self._zero.param_groups:
            group["lr"] = learning_rate
        self._engine.step()
        return self.total(float(loss))

    def read(self, batch: MicroBatch) -> Tensor:
        """What the model says at the P places of a batch, logits [P, V] or scores [P], without a gradient (`loss`).

        All ranks must call it together.
        """
        # Without dropout, as the services compute, whose answers are compared with these.
        self._engine.eval()
        try:
            with torch.no_grad():
                found: Tensor = self._engine(batch, read=True)
        finally:
            self._engine.train()
        return found

    def total(self, value: float) -> float:
        """Sum of one number over all ranks."""
        if self.ranks == 1:
            return value
        summed = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(summed)
        return float(summed)

    def most(self, value: int) -> int:
        """The largest of one number over all ranks."""
        if self.ranks == 1:
            return value
        largest = torch.tensor(value, device=self.device)
        torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX)
        return int(largest)

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.ranks > 1:
            torch.distributed.barrier()

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Names and whole tensors of the model on the CPU, each tied weight once, adapters merged into what they adapt.

        All ranks must iterate together; only rank 0 gets the tensors, the others empty ones.
        """
        adapted = adapted_weights(self.model)
        for name, tensor in self._own_tensors():
            plain = plain_name(name)
            if plain is None:
                continue
            layer = adapted.get(plain)
            with self._whole([tensor, *(factors(layer) if layer else ())]):
                if self.rank == 0:
                    weight = unpacked(tensor)
                    yield plain, self._copied(weight if layer is None else merged(weight, layer))
                else:
                    yield plain, torch.empty(0)

    def weight_bytes(self) -> int:
        """Bytes of all tensors that `weights` yields."""
        return sum(whole_size(tensor) for name, tensor in self._own_tensors() if plain_name(name) is not None)

    def adapters(self) -> dict[str, Tensor]:
        """LoRA's factors A [r, in] and B [out, r] on the CPU, by the names that they have in files.

        All ranks must call it together; only rank 0 gets them.
        """
        found = {}
        for name, parameter in adapter_parameters(self.model).items():
            with self._whole([parameter]):
                if self.rank == 0:
                    found[name] = self._copied(parameter)
        return found

    def _own_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The model's state, each tensor once, layer by layer."""
        seen: set[int] = set()
        for name, tensor in self.model.state_dict(keep_vars=True).items():
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield name, tensor

    def _whole(self, tensors: Sequence[Tensor]) -> AbstractContextManager[None]:
        """While entered, partitioned parameters are there in their whole shape, on every rank."""
        if not self._partitioned:
            return nullcontext()
        parameters = [tensor for tensor in tensors if isinstance(tensor, nn.Parameter)]
        gathered: AbstractContextManager[None] = deepspeed.zero.GatheredParameters(parameters)
        return gathered

    def _copied(self, tensor: Tensor) -> Tensor:
        """On the CPU; what is whole for a moment only is copied there, too."""
        return tensor.detach().cpu().clone() if self._partitioned else tensor.detach().cpu()

    def moments(self) -> Iterator[tuple[str, Tensor]]:
        """Optimizer state as (`exp_avg/<parameter>`, fp32 tensor of its shape); all ranks must iterate together."""
        for name, parameter in self._named.items():
            for key in self._moments:
                yield f"{key}/{name}", safe_get_full_optimizer_state(parameter, key).cpu()
            if self.half:
                yield f"{MASTER}/{name}", safe_get_full_fp32_param(parameter).cpu()

    def moment_names(self) -> set[str]:
        """Names of the tensors that `moments` yields."""
        keys = (*self._moments, MASTER) if self.half else self._moments
        return {f"{key}/{name}" for key in keys for name in self._named}

    def moment_bytes(self) -> int:
        """Bytes of all tensors that `moments` yields."""
        copies = len(self._moments) + (1 if self.half else 0)
        return 4 * copies * sum(getattr(p, "ds_numel", p.numel()) for p in self._named.values())

    def begin_at(self, step: int) -> None:
        """Create zero moments with the optimizer's step counter at `step`, ready for `set_moment`."""
        zero = self._zero
        # The optimizer makes its state at its first update; loading a checkpoint needs it before.
        flats = zero.fp32_partitioned_groups_flat if self._partitioned else zero.single_partition_of_fp32_groups
        # One flat tensor a parameter group, [all trained weights of this rank].
        for flat in flats:
            zeros = {key: torch.zeros_like(flat) for key in self._moments}
            zero.optimizer.state[flat] = {"step": torch.tensor(float(step), device=flat.device), **zeros}
        if not self._partitioned:
            zero._lazy_init_hp_params_optimizer_state()

    def set_moment(self, name: str, value: Tensor) -> None:
        """Set one tensor of `moments`, in the shape of its parameter, on every rank. Needs `begin_at` first."""
        key, parameter_name = name.split("/", 1)
        parameter: Any = self._named[parameter_name]
        state = None if key == MASTER else key
        value = value.to(self.device)
        if not self._partitioned:
            parameter.set_full_hp_param(value, state)
            return
        # DeepSpeed's own setter for a whole tensor cannot split one whose size the ranks do not divide.
        size = parameter.ds_tensor.numel()
        padded = functional.pad(value.flatten(), (0, size * self.ranks - value.numel()))
        self._zero.set_local_hp_param(padded[size * self.rank : size * (self.rank + 1)], parameter, state)

    def close(self) -> None:
        """Drop DeepSpeed's hooks and buffers."""
        self._engine.destroy()


def _optimizer(parameters: list[nn.Parameter], settings: TrainRecipe) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer is Optimizer.SGD:
        return torch.optim.SGD(parameters, lr=rate, momentum=MOMENTUM, weight_decay=decay, fused=True)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)


def engine_config(settings: TrainRecipe) -> dict[str, Any]:
    """DeepSpeed's configuration. Accumulation is driven by `update`, because the number of micro-batches varies.

    Stage 0 runs as stage 1: the same updates, with the moments divided among the ranks instead of copied to each.
    """
    # DeepSpeed's buckets of half a billion values would take 2 GB of each GPU.
    zero: dict[str, Any] = {
        "stage": max(1, settings.zero_stage),
        "reduce_bucket_size": BUCKET,
        "allgather_bucket_size": BUCKET,
    }
    host = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    if settings.offload_optimizer:
        zero["offload_optimizer"] = host
    if settings.offload_parameters:
        zero["offload_param"] = host
    return {
        # DeepSpeed asks for these two numbers; `micro_batches` makes the batches, and `update` says where a step ends.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": settings.max_grad_norm,
        "zero_optimization": zero,
        # ZeRO takes optimizers that are not DeepSpeed's own only with this.
        "zero_allow_untested_optimizer": True,
        # torch's fused AdamW runs on the CPU as well; DeepSpeed's would be compiled at run time.
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": dtype_of(settings) is torch.bfloat16},
    }
