import torch
from torch import nn
from transformers import LlamaForCausalLM, LlamaPreTrainedModel

from .configuration_minicpm import MiniCPMVConfig
from .resampler import Resampler


class MiniCPMV(LlamaPreTrainedModel):
    config_class = MiniCPMVConfig

    def __init__(self, config):
        super().__init__(config)
        self.llm = LlamaForCausalLM(config)
        self.vpm = nn.Linear(3 * config.patch_size**2, config.vision_width)
        self.resampler = Resampler(config.query_num, config.vision_width, config.hidden_size)
        self.post_init()

    def get_input_embeddings(self):
        return self.llm.get_input_embeddings()

    def get_output_embeddings(self):
        return self.llm.lm_head

    def get_vllm_embedding(self, data):
        patch = self.config.patch_size
        flat = [
            # [3, patch, L * patch] to [L, 3 * patch * patch]
            one.reshape(3, patch, -1, patch).permute(2, 0, 1, 3).flatten(1)
            for slices in data["pixel_values"]
            for one in slices
        ]
        states = nn.utils.rnn.pad_sequence([self.vpm(one) for one in flat], batch_first=True)
        features = self.resampler(states, torch.vstack(data["tgt_sizes"]))
        embedded = self.llm.get_input_embeddings()(data["input_ids"])
        begin, found = 0, []
        for row, slices in enumerate(data["pixel_values"]):
            own = features[begin : begin + len(slices)]
            begin += len(slices)
            found.append(own)
            places = torch.cat([torch.arange(a, b) for a, b in data["image_bound"][row].tolist()])
            embedded[row].scatter_(
                0, places.to(embedded.device)[:, None].expand(-1, embedded.shape[-1]), own.flatten(0, 1)
            )
        return embedded, found

    def forward(self, data, **kwargs):
        embedded, _ = self.get_vllm_embedding(data)
        return self.llm(input_ids=None, position_ids=data["position_ids"], inputs_embeds=embedded, **kwargs)
