"""DeepSeek-VL with two towers: one sees the picture small, the other one large."""

from mstar_models.families.declaration import Family

FAMILY = Family(
    name="DeepSeek-VL hybrid",
    model_types=("deepseek_vl_hybrid",),
    processors=("DeepseekVLHybridProcessor",),
    more_towers=("high_res_vision_model",),
)
