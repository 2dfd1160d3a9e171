"""Real training processes: they learn, go on where they stopped, and come back from a kill bit for bit."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from architectures import plain_inputs
from mstar.api.steps import Arrivals
from mstar.errors import InvalidDataset, Unavailable
from mstar.layout import join_segments
from mstar.prompts import PRESETS, PromptPreset
from mstar.seeds import derive
from mstar.train_recipe import TrainRecipe
from mstar_models.encoding import encode_segments
from mstar_models.labels import label_token_ids
from mstar_models.loading import load_model, load_processor
from mstar_trainer.batches import Example, grouped, plan, prm_examples, sft_examples
from mstar_trainer.encoding import ExampleEncoder, micro_batches
from mstar_trainer.loss import StepLoss
from mstar_trainer.protocol import Done
from mstar_trainer.resident import _Rank
from mstar_trainer.state import read_state
from mstar_worker.stop import Preempted
from trainer_bench import GENTLE, Lab, weights

PLAIN = PRESETS[PromptPreset.MINIVISTA]

CPU = torch.device("cpu")
pytestmark = pytest.mark.training
SLOW = pytest.mark.slow
STAGED = TrainRecipe(learning_rate=1e-3, batch_size=9, micro_tokens=400, weight_decay=0.01)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab") / "home")
    yield lab
    lab.trainer.close()


@pytest.fixture(scope="module")
def first(lab: Lab) -> Done:
    """A checkpoint that others go on from."""
    return lab.train("it01/train", "it01/select")


def test_the_loss_of_a_few_rows_falls(lab: Lab) -> None:
    done = lab.train(
        "falls/train", "it01/select", settings=GENTLE.model_copy(update={"learning_rate": 3e-3, "epochs": 6})
    )
    assert done.result.steps == 18 == len(done.result.losses)
    assert done.result.last_loss < 0.5 * done.result.first_loss
    assert done.result.examples == 20


def test_the_prm_learns_a_rule_that_is_in_the_text(lab: Lab) -> None:
    settings = TrainRecipe(learning_rate=3e-3, batch_size=8, micro_tokens=800, epochs=10, freeze_vision=True)
    lab.train("prm/train", "prm/collect", objective="prm", settings=settings)
    folder = lab.folder("prm/train") / "model"
    model = load_model(folder).eval()
    encoder = ExampleEncoder(folder, lab.bench.home, model)
    good, bad = label_token_ids(encoder.tokenizer)
    (batch,) = micro_batches(encoder.trees(grouped(prm_examples(lab.bench.labelled(2))), 1000), 1000, CPU)
    with torch.inference_mode():
        logits = model(**batch.inputs).logits[batch.rows, batch.columns]
        entropy = StepLoss(model, good, bad)(batch)
    scores = (logits[:, good] - logits[:, bad]).sigmoid()
    assert torch.allclose(scores, batch.targets, atol=0.15), scores
    assert entropy < 4 * 0.6


def test_a_frozen_vision_tower_does_not_change(lab: Lab) -> None:
    settings = GENTLE.model_copy(update={"freeze_vision": True})
    lab.train("frozen/train", "it01/select", settings=settings)
    before, after = weights(lab.folder("prepare")), weights(lab.folder("frozen/train"))
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if ".vision_model." in name}


@pytest.fixture(scope="module")
def updated(lab: Lab) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Weights and losses of the training below in plain torch, which knows no stages."""
    return plain_adamw(lab, STAGED, derive(7, "train", "stage/train"))


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_every_stage_makes_the_updates_of_adamw(
    lab: Lab, updated: tuple[dict[str, torch.Tensor], list[float]], stage: int
) -> None:
    shutil.rmtree(lab.bench.store.path("r-1/stage/train"), ignore_errors=True)
    done = lab.train("stage/train", "it01/select", settings=STAGED.model_copy(update={"zero_stage": stage}))
    expected, losses = updated
    assert done.result.losses == pytest.approx(losses, rel=1e-4)
    trained = weights(lab.folder("stage/train"))
    for key in trained:
        assert torch.allclose(trained[key], expected[key], atol=1e-4), key


def plain_adamw(lab: Lab, settings: TrainRecipe, seed: int) -> tuple[dict[str, torch.Tensor], list[float]]:
    """The same training in plain torch, one row at a time."""
    folder = lab.folder("prepare") / "model"
    model = load_model(folder).train()
    encoder = ExampleEncoder(folder, lab.bench.home, model)
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    losses = []
    for groups in plan([sft_examples(lab.bench.selected(20, seed=1), PLAIN)], settings, seed):
        rows = [plain_row(encoder, example) for group in groups for example in group]
        total = sum(int((labels != -100).sum()) for _, labels in rows)
        losses.append(0.0)
        for inputs, labels in rows:
            logits = model(**inputs).logits[0, :-1]
            part = functional.cross_entropy(logits, labels[1:], reduction="sum") / total
            part.backward()
            losses[-1] += part.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    return model.state_dict(), losses


def plain_row(encoder: ExampleEncoder, example: Example) -> tuple[dict[str, Any], torch.Tensor]:
    """Arguments of the model, and its labels [L]: -100 for the prompt, then the response and its end."""
    ((tree,), (tokens, _)) = encoder.trees([(example,)], 1), encode_segments(encoder.tokenizer, example.segments)
    response = [*tokens, encoder.tokenizer.eos_token_id]
    labels = torch.tensor([-100] * len(tree.prompt.input_ids) + response)
    return plain_inputs(tree.prompt, response), labels


@pytest.mark.parametrize(("order", "ranks"), [((1, 2, 3), 1), ((3, 2, 1), 1), pytest.param((2, 3, 1), 2, marks=SLOW)])
def test_shards_that_arrive_in_another_order_give_the_same_weights(
    lab: Lab, order: tuple[int, ...], ranks: int
) -> None:
    shards = tuple(f"streamed/select/{number:04d}" for number in range(4))
    for number, name in enumerate(shards):
        if name not in lab.bench.inputs:
            lab.bench.put_rows(name, lab.bench.selected(6, seed=number))
    at_once = lab.train("streamed/train", shards, settings=GENTLE.model_copy(update={"ranks": ranks}))
    shutil.rmtree(lab.folder("streamed/train"))
    streamed = lab.stream("streamed/train", shards, order, ranks)
    assert streamed.result.examples == 24
    assert streamed.artefact == at_once.artefact, "equal to the last bit"
    shutil.rmtree(lab.folder("streamed/train"))


def test_training_that_waits_for_a_paused_run_is_given_back(lab: Lab) -> None:
    lab.bench.put_rows("paused/select/0000", lab.bench.selected(3))
    lab.bench.put_rows("paused/select/0001", lab.bench.selected(3))
    claim = lab.bench.claim("paused/train", ("paused/select/0000", "paused/select/0001"))
    early = claim.model_copy(update={"inputs": {k: v for k, v in claim.inputs.items() if k != "paused/select/0001"}})
    with pytest.raises(Preempted, match="paused"):
        lab.trainer.train(early, 1, lambda done, total: None, lambda: Arrivals(inputs={}, coming=False))
    assert lab.trainer.pids == []


def test_a_carried_optimizer_goes_on_and_a_fresh_one_does_not(lab: Lab, first: Done) -> None:
    carried = lab.train("it02/train", "it02/select", "it01/train", carry=True)
    state = read_state(lab.folder("it02/train"))
    shutil.rmtree(lab.folder("it02/train"))
    fresh = lab.train("it02/train", "it02/select", "it01/train", carry=False)
    assert (carried.result.global_step, fresh.result.global_step) == (6, 3)
    assert state is not None and state.examples_seen == 40 and state.parent == first.artefact.version
    assert carried.result.first_loss == pytest.approx(fresh.result.first_loss, rel=1e-6)
    assert carried.result.last_loss != pytest.approx(fresh.result.last_loss, rel=1e-4)


def test_a_resident_and_a_rebuilt_engine_agree_to_the_last_bit(lab: Lab) -> None:
    lab.train("bits1/train", "it01/select")
    resident = lab.train("bits2/train", "it02/select", "bits1/train")
    shutil.rmtree(lab.folder("bits2/train"))
    lab.train("other/train", "it01/select")
    rebuilt = lab.train("bits2/train", "it02/select", "bits1/train")
    assert rebuilt.result.losses == resident.result.losses
    assert rebuilt.artefact == resident.artefact


def test_a_killed_process_is_named_and_the_next_attempt_gives_the_same_bits(lab: Lab) -> None:
    whole = lab.train("killed/train", "it02/select", "prepare")
    shutil.rmtree(lab.folder("killed/train"))
    (victim,) = lab.trainer.pids

    def kill(done: int, total: int) -> None:
        if done == 2:
            os.kill(victim, signal.SIGKILL)

    with pytest.raises(Unavailable, match="training process 0 was killed by SIGKILL"):
        lab.train("killed/train", "it02/select", "prepare", kill)
    assert lab.trainer.pids == []
    assert lab.bench.store.find("r-1/killed/train") is None
    again = lab.train("killed/train", "it02/select", "prepare")
    assert again.artefact == whole.artefact
    assert victim not in lab.trainer.pids


def test_the_checkpoint_is_plain_hugging_face_without_pickles(lab: Lab, first: Done) -> None:
    folder = lab.folder("it01/train")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    parent = lab.folder("prepare")
    assert {path.relative_to(parent).as_posix() for path in (parent / "model").iterdir()} <= names
    assert {Path(name).suffix for name in names} <= {".json", ".jinja", ".safetensors", ".txt", ".md"}
    model, processor = load_model(folder / "model"), load_processor(folder / "model")
    saved = weights(folder)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.state_dict().items() if name in saved)
    assert processor.tokenizer.eos_token_id is not None
    lab.bench.store.verify(first.artefact)


def test_nothing_kept_is_an_error_that_a_retry_cannot_help(lab: Lab) -> None:
    with pytest.raises(InvalidDataset, match="no response was kept"):
        lab.train("none/train", "none/select")


def test_giving_up_ends_the_processes(lab: Lab) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise Stop

    with pytest.raises(Stop):
        lab.train("stopped/train", "it01/select", progress=stop)
    assert lab.trainer.pids == []


@SLOW
@pytest.mark.parametrize("stage", [2, 3])
def test_two_ranks_train_as_one(lab: Lab, stage: int) -> None:
    alone = GENTLE.model_copy(update={"zero_stage": stage, "batch_size": 6})
    pair = alone.model_copy(update={"ranks": 2})
    done = lab.train("ranks/train", "it01/select", settings=pair)
    on = lab.train("ranks2/train", "it02/select", "ranks/train", settings=pair)
    shutil.rmtree(lab.folder("ranks/train"))
    expected = lab.train("ranks/train", "it01/select", settings=alone)
    assert done.result.losses == pytest.approx(expected.result.losses, rel=1e-4)
    assert done.result.tokens == expected.result.tokens
    shutil.rmtree(lab.folder("ranks2/train"))
    back_to_one = lab.train("ranks2/train", "it02/select", "ranks/train", settings=alone)
    assert back_to_one.result.losses == pytest.approx(on.result.losses, rel=1e-4)


def test_training_processes_die_with_the_worker(lab: Lab) -> None:
    code = (
        "import sys, time; from pathlib import Path; from mstar_trainer.resident import ResidentTrainer;"
        f"trainer = ResidentTrainer(Path({str(lab.bench.home)!r}), threads=1); trainer._start(1);"
        "print(trainer.pids[0], flush=True); time.sleep(600)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert worker.stdout is not None
    child = int(worker.stdout.readline())
    worker.kill()
    worker.communicate()
    # It may be in the middle of importing torch, which takes minutes on a busy machine.
    deadline = time.monotonic() + 300
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def test_the_canonical_text_is_what_is_trained(lab: Lab) -> None:
    untidy = lab.bench.selected(1)[0].model_copy(update={"response": "One.\n \n\n  Two.\n\n###  answer:\n4"})
    (example,) = sft_examples([untidy], PLAIN)
    assert join_segments(example.segments) == "One.\n\nTwo.\n\n## Answer\n\n4"


@pytest.mark.faults(
    "the folder for temporary files takes no more (limit on file size) when a training starts",
    "folder and limit are named before any rank starts, and nothing is left there",
)
def test_a_full_folder_for_temporary_files_is_named_before_any_rank_starts(tmp_path: Path) -> None:
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from mstar_trainer.resident import _meeting_folder\nfrom mstar.errors import StorageFull\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: _meeting_folder()\nexcept StorageFull as error: print(error.detail)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert f"{tmp_path}/mstar-trainer-" in ran.stdout, ran.stderr
    assert "became larger than this process may write: raise the limit (`ulimit -f`)" in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_death_is_reported_in_one_line_without_a_trace() -> None:
    environment = dict(os.environ) | {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("MSTAR_TRAINER_RENDEZVOUS", None)
    replies: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
    rank = _Rank(0, environment, replies)
    try:
        assert replies.get(timeout=120) == (0, None)
        said = rank.obituary()
    finally:
        rank.kill()
    assert said == "training process 0 ended with exit code 1; it said last: KeyError: 'MSTAR_TRAINER_RENDEZVOUS'"
