"""Families with experts, towers or layers of their own: ERNIE 4.5 VL, Aria, Janus, and cousins of rows before them."""

from family_folders import Family, Ids, Settings
from model_families import (
    CLIP,
    GLM_TOKENS,
    LINEAR,
    LLAMA_TURNS,
    MROPE,
    PINPOINTS,
    QWEN3_VISION,
    QWEN_IMAGE,
    QWEN_TOKENS,
    SIGLIP,
    TEXT,
    VISION,
    glm4v,
    llava,
    plain_images,
    qwen3_5,
    qwen_images,
)

ERNIE_TOKENS = tuple(f"<|{kind}_{part}|>" for kind in ("IMAGE", "VIDEO") for part in ("PLACEHOLDER", "START", "END"))
COMPASS_TOKENS = ("<|START_OF_TURN_TOKEN|>", "<|VISION_START|>", "<|VISION_END|>", "<|IMAGE_PAD|>", "<|VIDEO_PAD|>")
SPREAD = MROPE | {"mrope_section": [3, 3, 2]}
"""Height, width and time."""


def _ernie4_5_vl_moe(ids: Ids) -> Settings:
    experts = {"moe_num_experts": 4, "moe_k": 2, "moe_num_shared_experts": 1, "moe_intermediate_size": [32, 16]}
    return {
        "model_type": "ernie4_5_vl_moe",
        "text_config": TEXT | {"rope_parameters": SPREAD} | experts,
        "vision_config": {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 48, "patch_size": 14},
        "image_token_id": ids("<|IMAGE_PLACEHOLDER|>"),
        "image_start_token_id": ids("<|IMAGE_START|>"),
        "image_end_token_id": ids("<|IMAGE_END|>"),
        "video_token_id": ids("<|VIDEO_PLACEHOLDER|>"),
        "video_start_token_id": ids("<|VIDEO_START|>"),
        "video_end_token_id": ids("<|VIDEO_END|>"),
    }


def _aria(ids: Ids) -> Settings:
    experts = {"moe_num_experts": 4, "moe_topk": 2, "moe_num_shared_experts": 1}
    return {
        "model_type": "aria",
        "text_config": TEXT | {"model_type": "aria_text"} | experts,
        "vision_config": VISION | {"model_type": "idefics3_vision", "image_size": 980, "patch_size": 70},
        # Patches of a picture, and what they become.
        "projector_patch_to_query_dict": {"196": 8},
        "image_token_index": ids("<|img|>"),
    }


def _janus(ids: Ids) -> Settings:
    vision = {"image_size": 32, "patch_size": 8, "num_image_tokens": 16, "projection_dim": 64, "mlp_ratio": 2.0}
    # What draws pictures: it is carried along, and never computed.
    codes = {"embed_dim": 8, "num_embeddings": 16, "latent_channels": 32, "base_channels": 32, "num_res_blocks": 1}
    return {
        "model_type": "janus",
        "text_config": TEXT | {"model_type": "llama"},
        "vision_config": VISION | vision,
        "vq_config": codes | {"channel_multiplier": [1, 1], "projection_dim": 64, "image_token_embed_dim": 64},
        "image_token_id": ids("<image_placeholder>"),
    }


def _llava_next_video(ids: Ids) -> Settings:
    grid = {"image_grid_pinpoints": PINPOINTS, "video_token_index": ids("<video>")}
    return llava(ids) | {"model_type": "llava_next_video", "vision_config": CLIP} | grid


def _deepseek_vl_hybrid(ids: Ids) -> Settings:
    fine = {"model_type": "sam_vision_model", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "mlp_dim": 48, "image_size": 64, "patch_size": 16, "output_channels": 16, "window_size": 2,
            "global_attn_indexes": [1], "num_pos_feats": 16}  # fmt: skip
    return {
        "model_type": "deepseek_vl_hybrid",
        "text_config": TEXT | {"model_type": "llama"},
        "vision_config": SIGLIP | {"vision_use_head": False},
        "high_res_vision_config": fine,
        "image_token_id": ids("<image_placeholder>"),
    }


def _cohere_compass(ids: Ids) -> Settings:
    # Layers with a window have positions, and those that see everything have none.
    kinds = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 24}
    text = kinds | {"rope_parameters": {"sliding_attention": SPREAD, "full_attention": None}, "logit_scale": 0.5}
    return {
        "model_type": "cohere_compass",
        "text_config": TEXT | text,
        "vision_config": QWEN3_VISION,
        "image_token_id": ids("<|IMAGE_PAD|>"),
        "video_token_id": ids("<|VIDEO_PAD|>"),
        "vision_start_token_id": ids("<|VISION_START|>"),
        "vision_end_token_id": ids("<|VISION_END|>"),
    }


def _qwen4_exp(ids: Ids) -> Settings:
    base = qwen3_5(ids)
    kinds = {"layer_types": ["linear_attention", "full_attention"]}
    experts = {"moe_intermediate_size": 32, "shared_expert_intermediate_size": 32, "num_experts": 4}
    streams = {"num_experts_per_tok": 2, "hc_count": 2, "hc_lowrank": 8}
    # Embeddings of pairs of tokens, in a table of their own.
    pairs = {"ple_layer_ids": [1], "ngram_size": 2, "heads_per_ngram": 2, "ngram_vocab_size_base": 64,
             "make_ngram_vocab_size_divisible_by": 8, "split_ngram_parts": 2}  # fmt: skip
    chosen = {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 16,
              "indexer_compress_ratio": 4}  # fmt: skip
    text = base["text_config"] | kinds | experts | streams | pairs | chosen
    return base | {"model_type": "qwen4_exp", "text_config": text}


def sized(images: Settings) -> Settings:
    """The same bounds of a picture's pixels where newer folders have them."""
    edges = {"shortest_edge": images["min_pixels"], "longest_edge": images["max_pixels"]}
    return {name: value for name, value in images.items() if name not in ("min_pixels", "max_pixels")} | {"size": edges}


RARER = (
    Family("ernie4_5_vl_moe", "ERNIE 4.5 VL", _ernie4_5_vl_moe,
           sized(qwen_images(14, "Ernie4_5_VLMoeImageProcessor", "Ernie4_5_VLMoeProcessor")
                 | {"temporal_patch_size": 1}),
           ERNIE_TOKENS, "<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>",
           named={"extra_special_tokens": {
               "image_token": "<|IMAGE_PLACEHOLDER|>", "image_start_token": "<|IMAGE_START|>",
               "image_end_token": "<|IMAGE_END|>", "video_token": "<|VIDEO_PLACEHOLDER|>",
               "video_start_token": "<|VIDEO_START|>", "video_end_token": "<|VIDEO_END|>"}},
           template_file="chat_template.jinja", **LLAMA_TURNS),
    Family("aria", "Aria", _aria,
           {"image_processor_type": "AriaImageProcessor", "processor_class": "AriaProcessor", "max_image_size": 980,
            "min_image_size": 336},
           ("<|im_start|>", "<|img|>"), "<fim_prefix><|img|><fim_suffix>",
           processor={"processor_class": "AriaProcessor", "size_conversion": {"980": 8}},
           named={"extra_special_tokens": {"image_token": "<|img|>"}}, tokenizer="PreTrainedTokenizerFast"),
    Family("janus", "Janus", _janus, plain_images("JanusImageProcessor", "JanusProcessor", 32),
           ("<image_placeholder>", "<begin_of_image>", "<end_of_image>"), "<image_placeholder>\n",
           processor={"processor_class": "JanusProcessor", "num_image_tokens": 16},
           named={"extra_special_tokens": {"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>",
                                           "eoi_token": "<end_of_image>"}},
           **LLAMA_TURNS),
    Family("llava_next_video", "LLaVA-NeXT-Video", _llava_next_video,
           {"image_processor_type": "LlavaNextImageProcessor", "processor_class": "LlavaNextVideoProcessor",
            "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32},
            "image_grid_pinpoints": PINPOINTS},
           ("<image>", "<video>"), "<image>\n",
           processor={"processor_class": "LlavaNextVideoProcessor", "patch_size": 8,
                      "num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"},
           **LLAMA_TURNS),
    Family("deepseek_vl_hybrid", "DeepSeek-VL (7B, two towers)", _deepseek_vl_hybrid,
           plain_images("DeepseekVLHybridImageProcessor", "DeepseekVLHybridProcessor", 32,
                        high_res_size={"height": 64, "width": 64}),
           ("<image_placeholder>",), "<image_placeholder>",
           processor={"processor_class": "DeepseekVLHybridProcessor", "num_image_tokens": 16},
           named={"extra_special_tokens": {"image_token": "<image_placeholder>"}}, **LLAMA_TURNS),
    Family("cohere_compass", "Cohere Compass (North Micro Vision)", _cohere_compass,
           qwen_images(16, "CohereCompassImageProcessor", "CohereCompassProcessor"), COMPASS_TOKENS,
           "<|VISION_START|><|IMAGE_PAD|><|VISION_END|>", tokenizer="PreTrainedTokenizerFast",
           end="<|END_OF_TURN_TOKEN|>", user="<|START_OF_TURN_TOKEN|>user\n",
           assistant="<|START_OF_TURN_TOKEN|>chatbot\n", template_file="chat_template.jinja",
           own_cache="some layers see a window only", one_by_one="some layers see a window only"),
    Family("glmga", "GLM-4.6V GA", lambda ids: glm4v(ids, "glmga"),
           sized(qwen_images(14, "GlmgaImageProcessor", "Glm46VProcessor")), GLM_TOKENS,
           "<|begin_of_image|><|image|><|end_of_image|>", tokenizer="PreTrainedTokenizerFast", end="<|endoftext|>",
           user="<|user|>\n", assistant="<|assistant|>\n", template_file="chat_template.jinja"),
    Family("qwen4_exp", "Qwen4-Exp", _qwen4_exp, qwen_images(16, "Qwen2VLImageProcessorFast", "Qwen3VLProcessor"),
           QWEN_TOKENS, QWEN_IMAGE,
           **LINEAR | {"one_by_one": "it has layers of kind indexed_attention, linear_attention"}),
)  # fmt: skip
"""Rows of the same kind as those of `further_families`."""
