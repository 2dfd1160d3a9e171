"""Which types of model can be the base of a run: what admission knows of transformers without having it.

`model_type` in a folder's config.json names the family. What this leaves out: whether a folder of the family is whole.
"""

from collections.abc import Collection

DECODERS = frozenset((
    "aria", "aya_vision", "blip", "blip-2", "chameleon", "cohere2_vision", "cohere_compass", "cosmos3_edge",
    "cosmos3_omni", "deepseek_ocr2", "deepseek_vl", "deepseek_vl_hybrid", "diffusion_gemma", "emu3",
    "ernie4_5_vl_moe", "evolla", "exaone4_5", "fast_vlm", "fuyu", "gemma3", "gemma3n", "gemma4", "gemma4_unified",
    "git", "glm46v", "glm4v", "glm4v_moe", "glm5_next", "glm_ocr", "glmga", "got_ocr2", "granite4_vision",
    "hunyuan_vl", "hyperclovax_vision_v2", "idefics", "idefics2", "idefics3", "inkling_mm_model", "instructblip",
    "instructblipvideo", "internvl", "janus", "kimi_k25", "kosmos-2", "kosmos-2.5", "lfm2_vl", "lighton_ocr",
    "llama4", "llava", "llava_next", "llava_next_video", "llava_onevision", "minicpmv4_6", "minicpmv4_7",
    "minimax_m3_vl", "mistral3", "mistral4", "mllama", "muse_glimmer", "nemotron_h_omni", "ovis2", "paddleocr_vl",
    "paligemma", "perception_lm", "pi0", "pp_chart2table", "qianfan_ocr", "qwen2_5_omni_thinker", "qwen2_5_vl",
    "qwen2_vl", "qwen3_5", "qwen3_5_moe", "qwen3_omni_moe_thinker", "qwen3_vl", "qwen3_vl_moe", "qwen4_exp",
    "shieldgemma2", "smolvlm", "step3p7", "video_llama_3", "video_llava", "vipllava",
))  # fmt: skip
"""Types that transformers 5.19 loads as a model of images and text, and whose response continues the prompt."""
OTHERS = frozenset((
    "florence2", "pix2struct", "pp_formulanet", "t5gemma2", "udop", "vision-encoder-decoder",
))  # fmt: skip
"""Types that it loads, too, and that have an encoder for the prompt and a decoder for the response."""
WITH_CODE = frozenset(("minicpmv", "phi3_v"))
"""Types whose code lies in the model's folder, and which are called by a file of ours."""
WITHOUT_TEMPLATE = frozenset(("paligemma",))
"""Types whose folders have no chat template, because a file of ours has it."""
_HINTS = {
    "internvl_chat": "take the native folder of the same model, whose name ends in -hf",
    "minicpmo": "take MiniCPM-V 4.6, which is native",
    "llava_llama": "take a folder of llava-hf",
    "llava_qwen": "take a folder of llava-hf",
    "ovis": "take the native Ovis2 folder, whose name ends in -hf",
    "deepseek_vl_v2": "take DeepSeek-VL, or another family",
}
"""What to do instead, for types that people have and that only code from the hub loads."""


def type_problem(model_type: str, trusted: Collection[str] = ()) -> str | None:
    """Why a run cannot begin with this type of model, and what to do; None: it can.

    `trusted`: types whose code from a folder the operator allows.
    """
    if model_type in DECODERS or model_type in trusted:
        return None
    named = f"has model_type {model_type[:64]!r} in config.json, which"
    if model_type in OTHERS:
        return f"{named} has an encoder for the prompt and a decoder for the response: take a decoder-only model"
    if model_type in WITH_CODE:
        return (
            f"{named} needs code from its folder, and that runs only where an operator allows it: docs/models.md, "
            "'Code from a folder', says how"
        )
    instead = _HINTS.get(model_type, "take one of the families that docs/models.md lists")
    return f"{named} is no vision-language model that transformers has: {instead}"
