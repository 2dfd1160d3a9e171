"""With ZeRO-3 each rank has its part of the weights from the start; 4 bits without bitsandbytes are refused."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from mstar.errors import InvalidInput
from mstar.train_recipe import TrainRecipe
from mstar_models.loading import load_model
from mstar_trainer.loading import load_for_training
from trainer_bench import MODEL

RANK = """
import json, os, sys
from pathlib import Path
from mstar_trainer.deepspeed_engine import join_ranks
rank, meeting, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
join_ranks(rank, 2, f"file://{meeting}")
import deepspeed
# DeepSpeed does so for every engine.
import deepspeed.runtime.zero.muon.muon_optimizer
from mstar.train_recipe import TrainRecipe
from mstar_models.loading import load_model
from mstar_trainer.loading import load_for_training
model = load_for_training(folder, TrainRecipe(zero_stage=3, ranks=2, batch_size=2))
plain, equal = dict(load_model(folder).named_parameters()), True
whole = [p.numel() for p in model.parameters()]
for name, parameter in model.named_parameters():
    with deepspeed.zero.GatheredParameters([parameter]):
        equal &= bool((parameter == plain[name]).all())
held = sum(p.ds_tensor.numel() for p in model.parameters())
compiler = "torch._inductor.compile_fx" in sys.modules
print(json.dumps({"held": held, "whole at once": sum(whole), "equal": equal, "compiler": compiler}))
"""


@pytest.mark.slow
def test_no_rank_ever_holds_the_whole_model_with_zero_3(tmp_path: Path) -> None:
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path / "meeting"), str(MODEL)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | shared
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "DS_ACCELERATOR": "cpu", "PYTHONPATH": ":".join(sys.path)},
        )
        for rank in range(2)
    ]
    found = [json.loads(one.communicate(timeout=300)[0].splitlines()[-1]) for one in ranks]
    whole = sum(p.numel() for p in load_model(MODEL).parameters())
    for one in found:
        assert one.pop("compiler") is False, "torch's compiler, which a rank runs nothing of, takes seconds to import"
        assert one == {"held": pytest.approx(whole / 2, rel=1e-3), "whole at once": 0, "equal": True}


def test_other_stages_load_the_whole_model_in_its_type() -> None:
    model = load_for_training(MODEL, TrainRecipe.model_validate({"dtype": "bf16"}))
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed here")
def test_four_bits_without_bitsandbytes_say_what_to_install() -> None:
    settings = TrainRecipe.model_validate({"lora": {"quantize": True}})
    with pytest.raises(InvalidInput, match="pip install bitsandbytes, or set it to false") as refused:
        load_for_training(MODEL, settings)
    assert refused.value.field == "train.lora.quantize"
