"""What the engine's worker processes do beside vLLM's own work: load a checkpoint whole, tell what memory is free.

vLLM finds this class by its name and mixes it into its worker, in a process that imports nothing else of the service.
"""

import atexit
import gc
from typing import Any

# At its end an interpreter looks for garbage once more, here among a million objects: seconds, for which whoever stops
# or replaces the engine would wait.
atexit.register(gc.freeze)


class CheckpointWorker:
    """Mixed into vLLM's worker, whose `reload_weights` and `model_runner` it uses."""

    reload_weights: Any
    model_runner: Any

    def device_memory(self) -> tuple[int, int]:
        """Bytes of the device that are free, and all of them."""
        import torch

        return torch.cuda.mem_get_info()

    def load_checkpoint(self, folder: str, keep_features: bool) -> None:
        """Replace all weights in place by those of a Hugging Face folder.

        `keep_features`: what the images were encoded to stays; the scheduler's list of it must then be left alone too.
        """
        from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

        # Kept aside, since a reload empties the runner's cache whatever was asked for.
        features = dict(self.model_runner.encoder_cache) if keep_features else {}
        self.reload_weights(weights_path=folder)
        self.model_runner.encoder_cache.update(features)
        # On a CPU the output layer multiplies by a packed copy of its matrix. A head that is tied to the embedding is
        # not in the checkpoint under a name of its own, so the reload leaves that copy as it was.
        for layer in self.model_runner.get_model().modules():
            if isinstance(layer, ParallelLMHead):
                layer.quant_method.process_weights_after_loading(layer)
