"""The model families people use, one row each, and what the services make of them.

A row has configuration, image processor, tokenizer class and chat template as the family's folders have them, with
sizes cut down. The test of the families and `docs/models.md` both come from here.
"""

from typing import Any

from family_folders import Family, Ids, Settings
from mstar.model_types import Images

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
MROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
CLIP = VISION | {"model_type": "clip_vision_model", "image_size": 32, "patch_size": 8, "projection_dim": 32}
SIGLIP = VISION | {"model_type": "siglip_vision_model", "image_size": 32, "patch_size": 8}
QWEN_TOKENS = ("<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
GLM_TOKENS = ("<|user|>", "<|assistant|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>",
              "<|end_of_video|>", "<|image|>", "<|video|>")  # fmt: skip


def _qwen(ids: Ids, model_type: str, vision: Settings, text: Settings) -> Settings:
    return {
        "model_type": model_type,
        "text_config": TEXT | {"rope_parameters": MROPE} | text,
        "vision_config": vision,
        "image_token_id": ids("<|image_pad|>"),
        "video_token_id": ids("<|video_pad|>"),
        "vision_start_token_id": ids("<|vision_start|>"),
        "vision_end_token_id": ids("<|vision_end|>"),
    }


def _qwen2_vl(ids: Ids) -> Settings:
    vision = {"depth": 2, "embed_dim": 32, "num_heads": 2, "hidden_size": 64, "mlp_ratio": 2}
    return _qwen(ids, "qwen2_vl", vision, {})


def _qwen2_5_vl(ids: Ids) -> Settings:
    vision = {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 48, "out_hidden_size": 64}
    return _qwen(ids, "qwen2_5_vl", vision | {"fullatt_block_indexes": [1]}, {})


QWEN3_VISION = {
    "depth": 2,
    "hidden_size": 32,
    "num_heads": 2,
    "intermediate_size": 48,
    "out_hidden_size": 64,
    "num_position_embeddings": 16,
    "deepstack_visual_indexes": [0],
}


def _qwen3_vl(ids: Ids) -> Settings:
    return _qwen(ids, "qwen3_vl", QWEN3_VISION, {"head_dim": 16})


def _qwen3_vl_moe(ids: Ids) -> Settings:
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "head_dim": 16}
    return _qwen(ids, "qwen3_vl_moe", QWEN3_VISION, experts)


def qwen3_5(ids: Ids) -> Settings:
    heads = {"linear_key_head_dim": 16, "linear_value_head_dim": 16, "linear_num_key_heads": 2}
    kinds = {"layer_types": ["linear_attention", "full_attention"], "linear_num_value_heads": 4, "head_dim": 16}
    vision = {key: value for key, value in QWEN3_VISION.items() if key != "deepstack_visual_indexes"}
    return _qwen(ids, "qwen3_5", vision, heads | kinds)


MINICPM_NAMES = {
    "image": "<image_pad>", "video": "<video_pad>", "image_start": "<image>", "image_end": "</image>",
    "slice_start": "<slice>", "slice_end": "</slice>", "image_id_start": "<image_id>", "image_id_end": "</image_id>",
}  # fmt: skip


def minicpmv4_6(ids: Ids) -> Settings:
    text = qwen3_5(lambda token: 0)["text_config"]
    return {
        "model_type": "minicpmv4_6",
        "text_config": text | {"model_type": "qwen3_5_text"},
        "vision_config": VISION | {"image_size": 64, "patch_size": 8},
        "insert_layer_id": 0,
        "image_size": 64,
        "image_token_id": ids("<image_pad>"),
        "video_token_id": ids("<video_pad>"),
    }


def qwen_images(patch: int, kind: str, processor: str) -> Settings:
    return {
        "image_processor_type": kind,
        "processor_class": processor,
        "min_pixels": 4 * patch * patch,
        "max_pixels": 64 * patch * patch,
        "patch_size": patch,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
    }


def glm4v(ids: Ids, model_type: str) -> Settings:
    vision = {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 48, "out_hidden_size": 64}
    return {
        "model_type": model_type,
        "text_config": TEXT | {"model_type": "glm4v_text", "rope_parameters": MROPE},
        "vision_config": vision | {"model_type": "glm4v_vision", "image_size": 56},
        "image_token_id": ids("<|image|>"),
        "video_token_id": ids("<|video|>"),
        "image_start_token_id": ids("<|begin_of_image|>"),
        "image_end_token_id": ids("<|end_of_image|>"),
        "video_start_token_id": ids("<|begin_of_video|>"),
        "video_end_token_id": ids("<|end_of_video|>"),
    }


def internvl(ids: Ids) -> Settings:
    vision = VISION | {"model_type": "internvl_vision", "image_size": [28, 28], "patch_size": [7, 7]}
    return {
        "model_type": "internvl",
        "text_config": TEXT | {"model_type": "qwen2"},
        "vision_config": vision,
        "image_token_id": ids("<IMG_CONTEXT>"),
        "image_seq_length": 4,
    }


def _idefics3(ids: Ids, model_type: str) -> Settings:
    return {
        "model_type": model_type,
        "text_config": TEXT | {"model_type": "llama"},
        "vision_config": VISION | {"image_size": 32, "patch_size": 8},
        "scale_factor": 2,
        "image_token_id": ids("<image>"),
        "pad_token_id": 0,
    }


def _idefics2(ids: Ids) -> Settings:
    latents = {"resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": 2, "resampler_head_dim": 16}
    return {
        "model_type": "idefics2",
        "text_config": TEXT | {"model_type": "mistral", "sliding_window": None},
        "vision_config": VISION | {"image_size": 32, "patch_size": 8},
        "perceiver_config": latents | {"num_key_value_heads": 2, "hidden_size": 64},
        "image_token_id": ids("<image>"),
    }


def llava(ids: Ids) -> Settings:
    return {
        "model_type": "llava",
        "text_config": TEXT | {"model_type": "llama"},
        "vision_config": CLIP,
        "image_token_index": ids("<image>"),
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
    }


def _llava_next(ids: Ids) -> Settings:
    return llava(ids) | {"model_type": "llava_next", "image_grid_pinpoints": [[32, 64], [64, 32]]}


def _llava_onevision(ids: Ids) -> Settings:
    return {
        "model_type": "llava_onevision",
        "text_config": TEXT | {"model_type": "qwen2"},
        "vision_config": SIGLIP,
        "image_token_index": ids("<image>"),
        "video_token_index": ids("<video>"),
        "image_grid_pinpoints": [[32, 64], [64, 32]],
        "vision_feature_select_strategy": "full",
        "vision_feature_layer": -1,
    }


PIXTRAL_VISION = VISION | {"model_type": "pixtral", "image_size": 64, "patch_size": 8, "head_dim": 16}


def _pixtral(ids: Ids) -> Settings:
    return {
        "model_type": "llava",
        "text_config": TEXT | {"model_type": "mistral", "sliding_window": None, "head_dim": 16},
        "vision_config": PIXTRAL_VISION,
        "image_token_index": ids("[IMG]"),
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
    }


def _mistral3(ids: Ids) -> Settings:
    return {
        "model_type": "mistral3",
        "text_config": TEXT | {"model_type": "mistral", "sliding_window": None, "head_dim": 16},
        "vision_config": PIXTRAL_VISION,
        "image_token_index": ids("[IMG]"),
        "spatial_merge_size": 2,
    }


def _ovis2(ids: Ids) -> Settings:
    # The visual vocabulary ends in the indicator tokens.
    vision = VISION | {"image_size": 28, "patch_size": 7, "hidden_stride": 2, "vocab_size": 32}
    return {
        "model_type": "ovis2",
        "text_config": TEXT | {"model_type": "qwen2"},
        "vision_config": vision | {"num_visual_indicator_tokens": 5},
        "hidden_size": 64,
        "image_token_id": ids("<IMG_ATOM>"),
        "visual_indicator_token_ids": [ids(token) for token in OVIS_TOKENS[3:]],
    }


OVIS_TOKENS = (
    "<|im_start|>",
    "<image>",
    "<IMG_ATOM>",
    "<IMG_START>",
    "<IMG_GRID>",
    "<IMG_COL>",
    "<IMG_ROW>",
    "<IMG_END>",
)
AYA_TOKENS = ("<image>", "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE_GLOBAL",
              *(f"TILE_{n}" for n in range(1, 13)))  # fmt: skip


def _aya_vision(ids: Ids) -> Settings:
    return {
        "model_type": "aya_vision",
        "text_config": TEXT | {"model_type": "cohere", "logit_scale": 1.0},
        "vision_config": SIGLIP,
        "image_token_index": ids("<|IMG_PATCH|>"),
        "downsample_factor": 2,
    }


def _gemma3(ids: Ids) -> Settings:
    return {
        "model_type": "gemma3",
        "text_config": TEXT | {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 24},
        "vision_config": SIGLIP | {"vision_use_head": False},
        "mm_tokens_per_image": 16,
        "boi_token_index": ids("<start_of_image>"),
        "eoi_token_index": ids("<end_of_image>"),
        "image_token_index": ids("<image_soft_token>"),
    }


def _paligemma(ids: Ids) -> Settings:
    return {
        "model_type": "paligemma",
        "text_config": TEXT | {"model_type": "gemma", "head_dim": 16},
        "vision_config": SIGLIP | {"vision_use_head": False, "projection_dim": 64},
        "projection_dim": 64,
        "hidden_size": 64,
        "image_token_index": ids("<image>"),
    }


def _mllama(ids: Ids) -> Settings:
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_global_layers": 1,
        "attention_heads": 2,
        "vision_output_dim": 64,
        "image_size": 32,
        "patch_size": 8,
        "max_num_tiles": 2,
        "intermediate_layers_indices": [0],
        "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
    }
    return {
        "model_type": "mllama",
        "text_config": TEXT | {"num_hidden_layers": 3, "cross_attention_layers": [1]},
        "vision_config": vision,
        "image_token_index": ids("<|image|>"),
    }


def plain_images(kind: str, processor: str, side: int, **more: Any) -> Settings:
    size = {"height": side, "width": side}
    return {"image_processor_type": kind, "processor_class": processor, "size": size, "do_resize": True} | more


LLAMA_TURNS: Settings = {"tokenizer": "LlamaTokenizer", "begin": "<s>", "end": "</s>", "user": "USER: ",
                         "assistant": " ASSISTANT:"}  # fmt: skip
IDEFICS_TOKENS = ("<|im_start|>", "<fake_token_around_image>", "<image>", "<global-img>", "<end_of_utterance>",
                  *(f"<row_{r}_col_{c}>" for r in (1, 2) for c in (1, 2)))  # fmt: skip
IDEFICS_TURNS: Settings = {"tokenizer": "PreTrainedTokenizerFast", "begin": "<|im_start|>",
                           "end": "<end_of_utterance>", "user": "User:", "assistant": "Assistant:"}  # fmt: skip
APART = "its images are not part of the text's sequence"
LINEAR: Settings = {"own_cache": "its layers of kind linear_attention keep no keys and values",
                    "one_by_one": "it has layers of kind linear_attention"}  # fmt: skip
PINPOINTS = [[32, 64], [64, 32]]
PIXTRAL_TOKENS = ("[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]")
PIXTRAL_TURNS = LLAMA_TURNS | {"user": "[INST]", "assistant": "[/INST]", "image": "[IMG]",
                               "specials": PIXTRAL_TOKENS}  # fmt: skip

FAMILIES = (
    Family("qwen2_vl", "Qwen2-VL", _qwen2_vl, qwen_images(14, "Qwen2VLImageProcessor", "Qwen2VLProcessor"),
           QWEN_TOKENS, QWEN_IMAGE),
    Family("qwen2_5_vl", "Qwen2.5-VL", _qwen2_5_vl,
           qwen_images(14, "Qwen2VLImageProcessorFast", "Qwen2_5_VLProcessor"), QWEN_TOKENS, QWEN_IMAGE),
    Family("qwen3_vl", "Qwen3-VL", _qwen3_vl, qwen_images(16, "Qwen2VLImageProcessorFast", "Qwen3VLProcessor"),
           QWEN_TOKENS, QWEN_IMAGE),
    Family("qwen3_vl_moe", "Qwen3-VL-MoE", _qwen3_vl_moe,
           qwen_images(16, "Qwen2VLImageProcessorFast", "Qwen3VLProcessor"), QWEN_TOKENS, QWEN_IMAGE),
    Family("internvl", "InternVL 2 to 3.5 (native folders, `-hf`)", internvl,
           plain_images("GotOcr2ImageProcessorFast", "InternVLProcessor", 28, crop_to_patches=True, min_patches=1,
                         max_patches=2),
           ("<|im_start|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"), "<IMG_CONTEXT>\n",
           processor={"processor_class": "InternVLProcessor", "image_seq_length": 4},
           named={"extra_special_tokens": {"context_image_token": "<IMG_CONTEXT>", "start_image_token": "<img>",
                                           "end_image_token": "</img>", "video_token": "<video>"}},
           template_file="chat_template.jinja"),
    Family("smolvlm", "SmolVLM", lambda ids: _idefics3(ids, "smolvlm"),
           {"image_processor_type": "SmolVLMImageProcessor", "processor_class": "SmolVLMProcessor",
            "size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}, "do_image_splitting": True},
           IDEFICS_TOKENS, "<image>", processor={"processor_class": "SmolVLMProcessor", "image_seq_len": 4},
           **IDEFICS_TURNS),
    Family("llava_onevision", "LLaVA-OneVision", _llava_onevision,
           plain_images("LlavaOnevisionImageProcessor", "LlavaOnevisionProcessor", 32,
                         image_grid_pinpoints=PINPOINTS),
           ("<|im_start|>", "<image>", "<video>"), "<image>\n",
           processor={"processor_class": "LlavaOnevisionProcessor", "num_image_tokens": 16,
                      "vision_feature_select_strategy": "full"}),
    Family("glm4v", "GLM-4.1V", lambda ids: glm4v(ids, "glm4v"),
           qwen_images(14, "Glm4vImageProcessor", "Glm4vProcessor"), GLM_TOKENS,
           "<|begin_of_image|><|image|><|end_of_image|>", tokenizer="PreTrainedTokenizerFast", end="<|endoftext|>",
           user="<|user|>\n", assistant="<|assistant|>\n", template_file="chat_template.jinja"),
    Family("glm46v", "GLM-4.6V", lambda ids: glm4v(ids, "glm46v"),
           qwen_images(14, "Glm46VImageProcessorFast", "Glm46VProcessor"), GLM_TOKENS,
           "<|begin_of_image|><|image|><|end_of_image|>", tokenizer="PreTrainedTokenizerFast", end="<|endoftext|>",
           user="<|user|>\n", assistant="<|assistant|>\n", template_file="chat_template.jinja"),
    Family("pixtral", "Pixtral", _pixtral,
           {"image_processor_type": "PixtralImageProcessor", "processor_class": "PixtralProcessor",
            "size": {"longest_edge": 48}, "patch_size": {"height": 8, "width": 8}},
           processor={"processor_class": "PixtralProcessor", "patch_size": 8}, **PIXTRAL_TURNS),
    Family("mistral3", "Mistral 3", _mistral3,
           {"image_processor_type": "PixtralImageProcessorFast", "processor_class": "PixtralProcessor",
            "size": {"longest_edge": 48}, "patch_size": {"height": 8, "width": 8}},
           processor={"processor_class": "PixtralProcessor", "patch_size": 8, "spatial_merge_size": 2},
           template_file="chat_template.jinja", **{k: v for k, v in PIXTRAL_TURNS.items()}),
    Family("idefics3", "Idefics3", lambda ids: _idefics3(ids, "idefics3"),
           {"image_processor_type": "Idefics3ImageProcessor", "processor_class": "Idefics3Processor",
            "size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}, "do_image_splitting": True},
           IDEFICS_TOKENS, "<image>", processor={"processor_class": "Idefics3Processor", "image_seq_len": 4},
           **IDEFICS_TURNS),
    Family("idefics2", "Idefics2", _idefics2,
           {"image_processor_type": "Idefics2ImageProcessor", "processor_class": "Idefics2Processor",
            "size": {"longest_edge": 32, "shortest_edge": 24}, "do_image_splitting": False},
           ("<fake_token_around_image>", "<image>", "<end_of_utterance>"), "<image>",
           processor={"processor_class": "Idefics2Processor", "image_seq_len": 4},
           **LLAMA_TURNS | {"end": "<end_of_utterance>", "user": "User:", "assistant": "Assistant:"}),
    Family("llava", "LLaVA 1.5", llava,
           {"image_processor_type": "CLIPImageProcessor", "processor_class": "LlavaProcessor",
            "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
           ("<image>",), "<image>\n",
           processor={"processor_class": "LlavaProcessor", "patch_size": 8, "num_additional_image_tokens": 1,
                      "vision_feature_select_strategy": "default"}, **LLAMA_TURNS),
    Family("llava_next", "LLaVA-NeXT", _llava_next,
           {"image_processor_type": "LlavaNextImageProcessor", "processor_class": "LlavaNextProcessor",
            "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32},
            "image_grid_pinpoints": PINPOINTS},
           ("<image>",), "<image>\n",
           processor={"processor_class": "LlavaNextProcessor", "patch_size": 8, "num_additional_image_tokens": 1,
                      "vision_feature_select_strategy": "default"},
           template_file="tokenizer_config.json", **LLAMA_TURNS),
    Family("ovis2", "Ovis2", _ovis2,
           plain_images("Ovis2ImageProcessor", "Ovis2Processor", 28, crop_to_patches=True, max_patches=2),
           OVIS_TOKENS, "<image>\n", processor={"processor_class": "Ovis2Processor", "image_seq_length": 4}),
    Family("aya_vision", "Aya Vision", _aya_vision,
           plain_images("GotOcr2ImageProcessor", "AyaVisionProcessor", 32, crop_to_patches=True, max_patches=2),
           AYA_TOKENS, "<image>", tokenizer="PreTrainedTokenizerFast", end="<|END_OF_TURN_TOKEN|>", user="User: ",
           assistant="Chatbot: ",
           processor={"processor_class": "AyaVisionProcessor", "patch_size": 8, "img_size": 32,
                      "downsample_factor": 2}),
    Family("gemma3", "Gemma 3", _gemma3, plain_images("Gemma3ImageProcessor", "Gemma3Processor", 32),
           ("<start_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"), "<start_of_image>",
           processor={"processor_class": "Gemma3Processor", "image_seq_length": 16},
           named={"extra_special_tokens": {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>",
                                           "eoi_token": "<end_of_image>"}},
           tokenizer="PreTrainedTokenizerFast", begin="<bos>", end="<end_of_turn>", user="<start_of_turn>user\n",
           assistant="<start_of_turn>model\n", own_cache="some layers see a window only"),
    Family("mllama", "Mllama (Llama 3.2 Vision)", _mllama,
           plain_images("MllamaImageProcessor", "MllamaProcessor", 32, max_image_tiles=2),
           ("<|image|>", "<|python_tag|>"), "<|image|>", tokenizer="PreTrainedTokenizerFast",
           begin="<|begin_of_text|>", end="<|eot_id|>", user="user\n", assistant="assistant\n",
           own_cache=APART),
    Family("paligemma", "PaliGemma", _paligemma,
           plain_images("SiglipImageProcessor", "PaliGemmaProcessor", 32, image_seq_length=16),
           ("<image>", *(f"<loc{n:04}>" for n in range(1024)), *(f"<seg{n:03}>" for n in range(128))), "<image>",
           tokenizer="PreTrainedTokenizerFast", begin="<bos>", end="<eos>", template_file="", shown=Images(1, 1)),
    Family("qwen3_5", "Qwen3.5", qwen3_5, qwen_images(16, "Qwen2VLImageProcessorFast", "Qwen3VLProcessor"),
           QWEN_TOKENS, QWEN_IMAGE, **LINEAR),
    Family("minicpmv4_6", "MiniCPM-V 4.6", minicpmv4_6,
           {"image_processor_type": "MiniCPMV4_6ImageProcessor", "processor_class": "MiniCPMV4_6Processor",
            "patch_size": 8, "scale_resolution": 64, "max_slice_nums": 2},
           ("<|im_start|>", *MINICPM_NAMES.values()), "<image_pad>",
           named={"extra_special_tokens": {f"{name}_token": token for name, token in MINICPM_NAMES.items()}},
           template_file="chat_template.jinja", **LINEAR),
)  # fmt: skip
