"""Families that came later or are rarer: mixtures of experts, readers of documents, and cousins of the first rows."""

from family_folders import Family, Ids, Settings
from model_families import (
    FAMILIES,
    GLM_TOKENS,
    LINEAR,
    LLAMA_TURNS,
    MINICPM_NAMES,
    MROPE,
    PINPOINTS,
    PIXTRAL_VISION,
    QWEN_IMAGE,
    QWEN_TOKENS,
    SIGLIP,
    TEXT,
    VISION,
    glm4v,
    internvl,
    llava,
    minicpmv4_6,
    plain_images,
    qwen3_5,
    qwen_images,
)
from rarer_families import RARER

GLM_ROPE = MROPE | {"mrope_section": [1, 1, 2], "partial_rotary_factor": 0.5}
GLM_TURNS: Settings = {
    "image": "<|begin_of_image|><|image|><|end_of_image|>",
    "tokenizer": "PreTrainedTokenizerFast",
    "end": "<|endoftext|>",
    "user": "<|user|>\n",
    "assistant": "<|assistant|>\n",
    "template_file": "chat_template.jinja",
}
GEMMA_TOKENS = ("<|turn>", "<|image|>", "<|image>", "<image|>", "<|audio|>", "<|video|>")


def _qwen3_5_moe(ids: Ids) -> Settings:
    base = qwen3_5(ids)
    experts = {"moe_intermediate_size": 32, "shared_expert_intermediate_size": 32, "num_experts": 4}
    text = base["text_config"] | experts | {"num_experts_per_tok": 2}
    return base | {"model_type": "qwen3_5_moe", "text_config": text}


def _without_kinds(base: Settings, text: Settings) -> Settings:
    """The configuration with another language model; its parts are of the model's own kinds."""
    vision = {name: value for name, value in base["vision_config"].items() if name != "model_type"}
    return base | {"text_config": TEXT | text, "vision_config": vision}


def _glm4v_moe(ids: Ids) -> Settings:
    experts = {"moe_intermediate_size": 32, "num_experts_per_tok": 2, "n_routed_experts": 4, "n_shared_experts": 1}
    text = {"rope_parameters": GLM_ROPE, "first_k_dense_replace": 1}
    return _without_kinds(glm4v(ids, "glm4v_moe"), text | experts)


def _glm_ocr(ids: Ids) -> Settings:
    rope = MROPE | {"partial_rotary_factor": 1.0}
    return _without_kinds(glm4v(ids, "glm_ocr"), {"rope_parameters": rope, "head_dim": 16})


def _paddleocr_vl(ids: Ids) -> Settings:
    return {
        "model_type": "paddleocr_vl",
        "text_config": TEXT | {"rope_parameters": MROPE, "head_dim": 16},
        "vision_config": VISION | {"image_size": 56, "patch_size": 14},
        "image_token_id": ids("<|IMAGE_PLACEHOLDER|>"),
        "video_token_id": ids("<|video_pad|>"),
        "vision_start_token_id": ids("<|IMAGE_START|>"),
        "vision_end_token_id": ids("<|IMAGE_END|>"),
    }


def _deepseek_vl(ids: Ids) -> Settings:
    return {
        "model_type": "deepseek_vl",
        "text_config": TEXT | {"model_type": "llama"},
        "vision_config": SIGLIP | {"vision_use_head": False},
        "image_token_id": ids("<image_placeholder>"),
        "num_image_tokens": 16,
    }


def _gemma4(ids: Ids) -> Settings:
    kinds = {"layer_types": 2 * ["sliding_attention", "full_attention"], "num_hidden_layers": 4, "sliding_window": 24}
    # As in E2B and E4B, the last layers take the keys and values of those before them.
    shared = {"num_kv_shared_layers": 2, "use_double_wide_mlp": True}
    text = {"head_dim": 16, "global_head_dim": 16, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 400}
    vision = {"model_type": "gemma4_vision", "head_dim": 16, "num_key_value_heads": 2, "patch_size": 8}
    return {
        "model_type": "gemma4",
        "text_config": TEXT
        | kinds
        | shared
        | text
        | {"use_bidirectional_attention": "vision", "final_logit_softcapping": 2.0},
        "vision_config": VISION | vision | {"pooling_kernel_size": 2, "position_embedding_size": 64},
        "image_token_id": ids("<|image|>"),
        "boi_token_id": ids("<|image>"),
        "eoi_token_id": ids("<image|>"),
        "audio_token_id": ids("<|audio|>"),
        "video_token_id": ids("<|video|>"),
    }


def _lighton_ocr(ids: Ids) -> Settings:
    return {
        "model_type": "lighton_ocr",
        "text_config": TEXT | {"model_type": "qwen3", "head_dim": 16},
        "vision_config": PIXTRAL_VISION,
        "image_token_id": ids("<|image_pad|>"),
        "spatial_merge_size": 2,
    }


def _vipllava(ids: Ids) -> Settings:
    base = {name: value for name, value in llava(ids).items() if not name.startswith("vision_feature")}
    return base | {"model_type": "vipllava", "vision_feature_layers": [0, 1]}


def _minicpmv4_7(ids: Ids) -> Settings:
    edges = {
        f"{edge}_id": ids(MINICPM_NAMES[edge]) for edge in ("image_start", "image_end", "slice_start", "slice_end")
    }
    # A line feed is a token of one byte: it stands between the rows of slices.
    return minicpmv4_6(ids) | {"model_type": "minicpmv4_7"} | edges | {"newline_id": ids("\u010a")}


def _qianfan_ocr(ids: Ids) -> Settings:
    base = internvl(ids)
    # Paths that a training drops at random would make its losses differ from those of a plain forward pass.
    vision = {name: value for name, value in base["vision_config"].items() if name != "model_type"}
    text = TEXT | {"model_type": "qwen3", "head_dim": 16}
    return base | {"model_type": "qianfan_ocr", "text_config": text, "vision_config": vision | {"drop_path_rate": 0.0}}


def _exaone4_5(ids: Ids) -> Settings:
    kinds = {
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 24,
        "sliding_window_pattern": "LG",
    }
    vision = {"depth": 2, "hidden_size": 32, "num_heads": 2, "num_key_value_heads": 2, "intermediate_size": 48,
              "out_hidden_size": 64, "fullatt_block_indexes": [1]}  # fmt: skip
    return {
        "model_type": "exaone4_5",
        "text_config": TEXT | {"model_type": "exaone4", "head_dim": 16} | kinds,
        "vision_config": vision,
        "image_token_id": ids("<|image_pad|>"),
        "video_token_id": ids("<|video_pad|>"),
    }


def _granite4_vision(ids: Ids) -> Settings:
    text = {"num_hidden_layers": 4, "embedding_multiplier": 2.0, "residual_multiplier": 0.5, "logits_scaling": 4.0}
    # What a training drops at random would make its losses differ from those of a plain forward pass.
    kept = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    joint = {"model_type": "blip_2_qformer", "use_qformer_text_input": False, "cross_attention_frequency": 1}
    return {
        "model_type": "granite4_vision",
        "text_config": TEXT | text,
        "vision_config": SIGLIP | {"vision_use_head": False},
        "qformer_config": VISION | kept | joint | {"num_hidden_layers": 1, "encoder_hidden_size": 32},
        "image_token_index": ids("<image>"),
        "image_grid_pinpoints": PINPOINTS,
        "vision_feature_select_strategy": "full",
        "downsample_rate": "1/2",
        # Layers of the tower, and the layers of the language model before which their features are added.
        "deepstack_layer_map": [[-2, 0], [-1, 1]],
        "spatial_target_layers": [0, 1, 2, 3],
        "projector_dropout": 0.0,
    }


def _video_llama_3(ids: Ids) -> Settings:
    return {
        "model_type": "video_llama_3",
        "text_config": TEXT | {"model_type": "qwen2"},
        "vision_config": VISION | {"patch_size": 14},
        "image_token_id": ids("<|image_pad|>"),
        "video_token_id": ids("<|video_pad|>"),
    }


FURTHER = (
    Family("qwen3_5_moe", "Qwen3.5-MoE", _qwen3_5_moe,
           qwen_images(16, "Qwen2VLImageProcessorFast", "Qwen3VLProcessor"), QWEN_TOKENS, QWEN_IMAGE, **LINEAR),
    Family("glm4v_moe", "GLM-4.5V", _glm4v_moe, qwen_images(14, "Glm4vImageProcessor", "Glm4vProcessor"), GLM_TOKENS,
           **GLM_TURNS),
    Family("glm_ocr", "GLM-OCR", _glm_ocr, qwen_images(14, "Glm46VImageProcessorFast", "Glm46VProcessor"), GLM_TOKENS,
           **GLM_TURNS),
    Family("gemma4", "Gemma 4", _gemma4, {}, GEMMA_TOKENS, "<|image|>",
           processor={"processor_class": "Gemma4Processor", "image_seq_length": 70,
                      "image_processor": {"image_processor_type": "Gemma4ImageProcessor", "patch_size": 8,
                                          "max_soft_tokens": 70, "pooling_kernel_size": 2},
                      "feature_extractor": {"feature_extractor_type": "Gemma4AudioFeatureExtractor"},
                      "video_processor": {"video_processor_type": "Gemma4VideoProcessor"}},
           named={"extra_special_tokens": {"image_token": "<|image|>", "boi_token": "<|image>",
                                           "eoi_token": "<image|>"}},
           tokenizer="PreTrainedTokenizerFast", begin="<bos>", end="<turn|>", user="<|turn>user\n",
           assistant="<|turn>model\n", template_file="chat_template.jinja",
           own_cache="some layers see a window only"),
    Family("deepseek_vl", "DeepSeek-VL", _deepseek_vl,
           plain_images("DeepseekVLImageProcessor", "DeepseekVLProcessor", 32), ("<image_placeholder>",),
           "<image_placeholder>", processor={"processor_class": "DeepseekVLProcessor", "num_image_tokens": 16},
           named={"extra_special_tokens": {"image_token": "<image_placeholder>"}}, **LLAMA_TURNS),
    Family("paddleocr_vl", "PaddleOCR-VL", _paddleocr_vl,
           qwen_images(14, "PaddleOCRVLImageProcessor", "PaddleOCRVLProcessor") | {"temporal_patch_size": 1},
           ("<|IMAGE_PLACEHOLDER|>", "<|IMAGE_START|>", "<|IMAGE_END|>", "<|video_pad|>"),
           "<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>",
           named={"extra_special_tokens": {"image_token": "<|IMAGE_PLACEHOLDER|>"}}, **LLAMA_TURNS),
    Family("lighton_ocr", "LightOnOCR", _lighton_ocr,
           {"image_processor_type": "PixtralImageProcessor", "processor_class": "LightOnOcrProcessor",
            "size": {"longest_edge": 48}, "patch_size": {"height": 16, "width": 16}},
           ("<|im_start|>", "<|image_pad|>", "<|vision_pad|>", "<|vision_end|>"), "<|image_pad|>",
           processor={"processor_class": "LightOnOcrProcessor", "patch_size": 8, "spatial_merge_size": 2},
           named={"extra_special_tokens": {"image_token": "<|image_pad|>", "image_break_token": "<|vision_pad|>",
                                           "image_end_token": "<|vision_end|>"}}),
    Family("vipllava", "ViP-LLaVA", _vipllava,
           {"image_processor_type": "CLIPImageProcessor", "processor_class": "LlavaProcessor",
            "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}, ("<image>",), "<image>\n",
           processor={"processor_class": "LlavaProcessor", "patch_size": 8, "num_additional_image_tokens": 1,
                      "vision_feature_select_strategy": "default"}, **LLAMA_TURNS),
    Family("minicpmv4_7", "MiniCPM-V 4.7", _minicpmv4_7,
           {"image_processor_type": "MiniCPMV4_6ImageProcessor", "processor_class": "MiniCPMV4_7Processor",
            "patch_size": 8, "scale_resolution": 64, "max_slice_nums": 2},
           ("<|im_start|>", *MINICPM_NAMES.values()), "<image_pad>",
           named={"extra_special_tokens": {f"{name}_token": token for name, token in MINICPM_NAMES.items()}},
           template_file="chat_template.jinja", **LINEAR),
    Family("qianfan_ocr", "Qianfan-OCR", _qianfan_ocr,
           plain_images("GotOcr2ImageProcessor", "QianfanOCRProcessor", 28, crop_to_patches=True, min_patches=1,
                        max_patches=2),
           ("<|im_start|>", "<image>", "<img>", "</img>", "<IMG_CONTEXT>"), "<image>\n",
           processor={"processor_class": "QianfanOCRProcessor", "image_seq_length": 4},
           named={"extra_special_tokens": {"context_image_token": "<IMG_CONTEXT>", "start_image_token": "<img>",
                                           "end_image_token": "</img>"}},
           template_file="chat_template.jinja"),
    Family("exaone4_5", "EXAONE 4.5", _exaone4_5, qwen_images(14, "Qwen2VLImageProcessor", "Exaone4_5_Processor"),
           QWEN_TOKENS, QWEN_IMAGE, tokenizer="PreTrainedTokenizerFast", template_file="chat_template.jinja",
           own_cache="some layers see a window only"),
    Family("granite4_vision", "Granite 4 Vision", _granite4_vision,
           {"image_processor_type": "LlavaNextImageProcessor", "processor_class": "Granite4VisionProcessor",
            "size": {"height": 32, "width": 32}, "crop_size": {"height": 32, "width": 32},
            "image_grid_pinpoints": PINPOINTS},
           ("<image>", "<|start_of_role|>", "<|end_of_role|>"), "<image>\n",
           processor={"processor_class": "Granite4VisionProcessor", "patch_size": 8, "downsample_rate": "1/2",
                      "vision_feature_select_strategy": "full"},
           tokenizer="PreTrainedTokenizerFast", end="<|end_of_text|>",
           user="<|start_of_role|>user<|end_of_role|>", assistant="<|start_of_role|>assistant<|end_of_role|>",
           template_file="chat_template.jinja"),
    Family("video_llama_3", "VideoLLaMA 3", _video_llama_3,
           qwen_images(14, "VideoLlama3ImageProcessor", "VideoLlama3Processor")
           | {"temporal_patch_size": 1, "merge_size": 1}, QWEN_TOKENS, "<|image_pad|>"),
    *RARER,
)  # fmt: skip
DRIVEN = (*FAMILIES, *FURTHER)
"""Every family that the services are driven with."""
