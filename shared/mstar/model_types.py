"""Which types of model can be the base of a run: what admission knows of transformers without having it.

`model_type` in a folder's config.json names the family. What this leaves out: whether a folder of the family is whole.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from mstar.types import MAX_IMAGES

TRIED = frozenset((
    "aria", "aya_vision", "cohere_compass", "deepseek_vl", "deepseek_vl_hybrid", "ernie4_5_vl_moe", "exaone4_5",
    "gemma3", "gemma4", "glm46v", "glm4v", "glm4v_moe", "glm_ocr", "glmga", "granite4_vision", "idefics2", "idefics3",
    "internvl", "janus", "lighton_ocr", "llava", "llava_next", "llava_next_video", "llava_onevision", "minicpmv4_6",
    "minicpmv4_7", "mistral3", "mllama", "ovis2", "paddleocr_vl", "paligemma", "qianfan_ocr", "qwen2_5_vl",
    "qwen2_vl", "qwen3_5", "qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe", "qwen4_exp", "smolvlm", "video_llama_3",
    "vipllava",
))  # fmt: skip
"""Types that transformers loads and `tests/system/test_model_families.py` drives through policy, PRM and trainer."""
ELSEWISE: Mapping[str, str] = {
    "blip": "captions images and takes no conversation",
    "diffusion_gemma": "writes a block of tokens at once, where a response is sampled token by token",
    "evolla": "reads proteins, not images",
    "glm5_next": "gives a token other numbers once others follow it, so that what is trained is not what was sampled",
    "git": "captions images and takes no conversation",
    "instructblipvideo": "takes videos, not images",
    "pi0": "moves robots, and writes no text",
}
"""Types that it loads as models of images and text, and that do something else."""
UNTRIED = frozenset((
    "blip-2", "chameleon", "cohere2_vision", "cosmos3_edge", "cosmos3_omni", "deepseek_ocr2", "emu3", "fast_vlm",
    "fuyu", "gemma3n", "gemma4_unified", "got_ocr2", "hunyuan_vl", "hyperclovax_vision_v2", "idefics",
    "inkling_mm_model", "instructblip", "kimi_k25", "kosmos-2", "kosmos-2.5", "lfm2_vl", "llama4", "minimax_m3_vl",
    "mistral4", "muse_glimmer", "nemotron_h_omni", "perception_lm", "pp_chart2table", "qwen2_5_omni_thinker",
    "qwen3_omni_moe_thinker", "shieldgemma2", "step3p7", "video_llava",
))  # fmt: skip
"""Types that it loads, whose response continues the prompt, and that nobody has driven through the services yet."""
UNTRIED_SETTING = "MSTAR_COORDINATOR_UNTRIED_MODELS"
"""Where an operator lists those of them that runs may use all the same."""
OTHERS = frozenset((
    "florence2", "pix2struct", "pp_formulanet", "t5gemma2", "udop", "vision-encoder-decoder",
))  # fmt: skip
"""Types that it loads, too, and that have an encoder for the prompt and a decoder for the response."""
WITH_CODE = frozenset(("minicpmv", "phi3_v"))
"""Types whose code lies in the model's folder, and which are called by a file of ours."""
WITHOUT_TEMPLATE = frozenset(("paligemma",))
"""Types whose folders have no chat template, because a file of ours has it."""
_TAKE = "use one of the families that docs/models.md lists"
_HINTS = {
    "internvl_chat": "use the native folder of the same model, whose name ends in -hf",
    "minicpmo": "use MiniCPM-V 4.6, which is native",
    "llava_llama": "use a folder of llava-hf",
    "llava_qwen": "use a folder of llava-hf",
    "ovis": "use the native Ovis2 folder, whose name ends in -hf",
    "phi4_multimodal": "transformers loads it as a text-only model: use Phi-3.5-vision or Qwen2.5-VL",
    "multi_modality": "use a folder of deepseek-community, which has Janus and DeepSeek-VL as transformers does",
    "ernie4_5_moe_vl": "use a folder whose model_type is ernie4_5_vl_moe",
    "deepseek_vl_v2": "use DeepSeek-VL, or another family",
}
"""What to do instead, for types that people have and that only code from the hub loads."""


@dataclass(frozen=True)
class Images:
    """How many images a prompt may show."""

    least: int = 0
    most: int = MAX_IMAGES

    def __str__(self) -> str:
        if self.least == self.most:
            return f"exactly {self.least}"
        return f"{self.least} to {self.most}"


ANY_IMAGES = Images()
IMAGES: Mapping[str, Images] = {"paligemma": Images(1, 1)}
"""How many images a prompt may show, for the types that do not take any number up to MAX_IMAGES."""


def images_taken(model_type: str) -> Images:
    """How many images a prompt for this type of model may show."""
    return IMAGES.get(model_type, ANY_IMAGES)


def parse_untried(text: str) -> frozenset[str]:
    """Untried types that an operator allows, comma-separated.

    Raises ValueError for a name that is tried already, or that no setting can allow.
    """
    names = frozenset(filter(None, (part.strip() for part in text.split(","))))
    for name in sorted(names - UNTRIED):
        known = "is tried and needs no permission: leave it out" if name in TRIED else "cannot be allowed here"
        raise ValueError(
            f"{name[:64]!r} {known}; the types that can be allowed are those that docs/models.md calls untried"
        )
    return names


def _checked(text: str) -> str:
    parse_untried(text)
    return text


UntriedModelsText = Annotated[str, AfterValidator(_checked)]
"""A setting that `parse_untried` reads."""


def untried_lines(model_types: Collection[str]) -> tuple[str, ...]:
    """What people should know of a run on models of untried types, a sentence each."""
    return tuple(
        f"Models of type {name} were never tried with M-STaR, and the operator allows them: whether their scores and "
        "losses are right is not known. Compare them with `mstar doctor --align` before you use the numbers."
        for name in model_types
    )


def type_problem(model_type: str, allowed: Collection[str] = ()) -> str | None:
    """Why a run cannot begin with this type of model, and what to do; None: it can.

    `allowed`: types that the operator allows, as code from a folder or as untried.
    """
    if model_type in TRIED or model_type in allowed:
        return None
    named = f"has model_type {model_type[:64]!r} in config.json, which"
    if model_type in OTHERS:
        return f"{named} has an encoder for the prompt and a decoder for the response: use a decoder-only model"
    if model_type in ELSEWISE:
        return f"{named} {ELSEWISE[model_type]}: {_TAKE}"
    if model_type in UNTRIED:
        return (
            f"{named} transformers loads but M-STaR was never tried with: {_TAKE}, or see docs/add-a-family.md; an "
            f"operator may allow it untried with {UNTRIED_SETTING}"
        )
    if model_type in WITH_CODE:
        return (
            f"{named} needs code from its folder, and that runs only where an operator allows it: docs/models.md, "
            "'Code from a folder', says how"
        )
    return f"{named} is not a vision-language model that transformers has: {_HINTS.get(model_type, _TAKE)}"
