import torch
from torch import nn
from transformers import LlamaModel, LlamaPreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_phi3_v import Phi3VConfig

SIDE = 8


class Phi3ImageEmbedding(nn.Module):
    """Four tokens a crop of 8 × 8 pixels."""

    def __init__(self, config):
        super().__init__()
        self.img_processor = nn.Linear(3 * SIDE * SIDE // 4, config.vision_width)
        self.img_projection = nn.Linear(config.vision_width, config.hidden_size)

    def forward(self, input_ids, wte, pixel_values, image_sizes):
        places = torch.nonzero(input_ids < 0, as_tuple=True)
        input_ids.clamp_min_(0)
        hidden = wte(input_ids)
        features = []
        for crops, (height, width) in zip(pixel_values, image_sizes.tolist(), strict=True):
            used = crops[: 1 + height * width // SIDE**2]
            half = SIDE // 2
            parts = used.reshape(-1, 3, 2, half, 2, half).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(0, 2)
            features.append(self.img_projection(self.img_processor(parts)))
        return hidden.index_put(places, torch.cat(features))


class Phi3VModel(LlamaModel):
    config_class = Phi3VConfig

    def __init__(self, config):
        super().__init__(config)
        self.vision_embed_tokens = Phi3ImageEmbedding(config)
        self.post_init()

    def forward(self, input_ids=None, pixel_values=None, image_sizes=None, inputs_embeds=None, **kwargs):
        if pixel_values is not None and image_sizes is not None:
            inputs_embeds = self.vision_embed_tokens(input_ids, self.embed_tokens, pixel_values, image_sizes)
        elif inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids)
        return super().forward(inputs_embeds=inputs_embeds, **kwargs)


class Phi3VForCausalLM(LlamaPreTrainedModel):
    config_class = Phi3VConfig

    def __init__(self, config):
        super().__init__(config)
        self.model = Phi3VModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids=None, **kwargs):
        found = self.model(input_ids=input_ids, **kwargs)
        return CausalLMOutputWithPast(
            logits=self.lm_head(found.last_hidden_state), past_key_values=found.past_key_values
        )
