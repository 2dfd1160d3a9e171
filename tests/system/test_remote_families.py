"""Families whose code lies in their folder go through policy, PRM and trainer, where an operator allowed that code.

The reference is the folder's own model, called as its authors call it, one whole sequence at a time. What this leaves
out: the real folders' code, which is not here.
"""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from PIL import Image
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from family_reference import MAX_TOKENS, QUESTION, STEPS, commit, data, labelled, picture, selected
from mstar.alignment import compare
from mstar.api.policy import RolloutReply
from mstar.api.prm import ScoreReply
from mstar.errors import Forbidden, InvalidInput
from mstar.train_recipe import TrainRecipe
from mstar_coordinator.scheduler.model_check import check_model
from mstar_models.encoding import encode_segments
from mstar_models.loading import load_model, load_processor
from mstar_models.remote_code import allow_code, code_digest, read_code
from mstar_models.special_tokens import suppressed_ids
from mstar_policy import align as policy_align
from mstar_policy import app as policy_app
from mstar_policy.config import PolicySettings
from mstar_policy.hf_engine import HfEngine
from mstar_policy.probed import ProbedEngine
from mstar_prm import align as prm_align
from mstar_prm import app as prm_app
from mstar_prm.config import PrmSettings
from mstar_prm.scorer_process import transformers_scorer
from mstar_trainer import align as trainer_align
from mstar_trainer.resident import ResidentTrainer
from remote_families import REMOTE_FAMILIES, TEMPLATE, RemoteFamily, class_of, write_remote_folder
from trainer_bench import Bench, never
from web_bench import talk


@dataclass
class Own:
    """A folder's model and processor as their authors call them."""

    family: RemoteFamily
    folder: Path

    def __post_init__(self) -> None:
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(self.folder)
        self.model = class_of(self.folder, self.family.model).from_pretrained(self.folder).eval()
        images = class_of(self.folder, self.family.images)()
        self.processor = class_of(self.folder, self.family.processor)(image_processor=images, tokenizer=self.tokenizer)

    def logits(self, image: Image.Image, tokens: Sequence[int]) -> torch.Tensor:
        """[R + 1, V]: of the last token of the prompt and of each one after it."""
        mark = "(<image>./</image>)\n" if self.family.name == "minicpmv" else "<|image_1|>\n"
        turn = [{"role": "user", "content": mark + QUESTION}]
        text = self.tokenizer.apply_chat_template(
            turn, chat_template=TEMPLATE, tokenize=False, add_generation_prompt=True
        )
        values: dict[str, Any] = self.processor(text, [image])
        ids = torch.cat([values.pop("input_ids"), torch.tensor([list(tokens)], dtype=torch.long)], dim=1)
        with torch.inference_mode():
            if self.family.name == "minicpmv":
                places = torch.arange(ids.shape[1])[None]
                found = self.model({"input_ids": ids, "position_ids": places, **values})
            else:
                found = self.model(input_ids=ids, **values)
        logits: torch.Tensor = found.logits[0, -len(tokens) - 1 :]
        return logits

    def greedy(self, image: Image.Image) -> tuple[list[int], float]:
        """Tokens of the likeliest response, and the sum of their log-probabilities."""
        tokens: list[int] = []
        total = 0.0
        while len(tokens) < MAX_TOKENS and (not tokens or tokens[-1] != self.tokenizer.eos_token_id):
            last = self.logits(image, tokens)[-1].clone()
            last[suppressed_ids(self.tokenizer)] = -torch.inf
            tokens.append(int(last.argmax()))
            total += float(last.log_softmax(0)[tokens[-1]])
        return tokens, total

    def step_scores(self, image: Image.Image, steps: Sequence[str]) -> torch.Tensor:
        """[S] good against bad at each step's end."""
        tokens, ends = encode_segments(self.tokenizer, steps)
        labels = self.tokenizer.convert_tokens_to_ids(["+", "-"])
        return self.logits(image, tokens)[ends][:, labels].softmax(dim=1)[:, 0]

    def sft_loss(self) -> float:
        """Mean over the tokens of the rows of both pictures."""
        tokens, _ = encode_segments(self.tokenizer, STEPS[1])
        targets = torch.tensor([*tokens, self.tokenizer.eos_token_id])
        sums = [functional.cross_entropy(self.logits(picture(n), tokens), targets, reduction="sum") for n in range(2)]
        return float(sum(sums) / (2 * len(targets)))


@pytest.fixture(scope="module", params=REMOTE_FAMILIES, ids=lambda family: family.name)
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Own:
    folder = tmp_path_factory.mktemp("remote") / request.param.name
    return Own(request.param, write_remote_folder(request.param, folder))


def entry(folder: Path, name: str) -> str:
    return f"{name}={folder}@{code_digest(read_code(folder))}"


@pytest.fixture(autouse=True)
def nothing_allowed() -> Iterator[None]:
    allow_code("")
    yield
    allow_code("")


def without_code(folder: Path, target: Path) -> Path:
    """The folder as an artefact is: no code in it."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return target


def test_the_policy_says_what_the_folders_own_model_says(own: Own, tmp_path: Path) -> None:
    folder = without_code(own.folder, tmp_path / "model")
    expected = [own.greedy(picture(place)) for place in range(2)]
    settings = PolicySettings(home=tmp_path / "home", trusted_code=entry(own.folder, own.family.name))
    engine = policy_app.transformers_engine(settings)

    async def ask(client: httpx2.AsyncClient) -> RolloutReply:
        await engine.load_folder(folder)
        prompts = [{"question": QUESTION, "images": [{"data": data(place)}], "temperature": 0} for place in (0, 1, 0)]
        sampled = await client.post("/v1/rollouts", json={"prompts": prompts, "max_tokens": MAX_TOKENS})
        return RolloutReply.model_validate_json(sampled.content)

    reply = talk(policy_app.build_app(settings, engine), ask)
    for (sample,), (tokens, logprob) in zip(reply.samples, [*expected, expected[0]], strict=True):
        assert list(sample.token_ids) == tokens
        assert sample.logprob == pytest.approx(logprob, abs=1e-4)
    assert abs(expected[0][1] - expected[1][1]) > 1e-3, "what is said depends on the picture"


def test_a_run_is_admitted_where_the_code_is_allowed(own: Own, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="needs code from its folder, and that runs only where an operator allows"):
        check_model(own.folder)
    assert check_model(without_code(own.folder, tmp_path / "model"), [own.family.name]) > 0


def test_scores_are_those_of_the_folders_own_model(own: Own, tmp_path: Path) -> None:
    settings = PrmSettings(home=tmp_path, trusted_code=entry(own.folder, own.family.name))
    scorer = transformers_scorer(settings)

    async def ask(client: httpx2.AsyncClient) -> list[ScoreReply]:
        await scorer.load_folder(own.folder)
        responses = [{"steps": steps} for steps in STEPS]
        bodies = [{"question": QUESTION, "images": [{"data": data(n)}], "responses": responses} for n in range(2)]
        replies = await asyncio.gather(*(client.post("/v1/score", json=body) for body in bodies))
        return [ScoreReply.model_validate_json(reply.content) for reply in replies]

    for place, reply in enumerate(talk(prm_app.build_app(settings, scorer), ask)):
        for steps, result in zip(STEPS, reply.results, strict=True):
            expected = own.step_scores(picture(place), steps)
            assert [step.score for step in result.steps] == pytest.approx(expected.tolist(), abs=1e-4)


def test_it_is_trained_and_its_checkpoint_loads_with_the_allowed_code_only(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSTAR_TRAINER_TRUSTED_CODE", entry(own.folder, own.family.name))
    bench, name = Bench(tmp_path / "home"), own.family.name
    base = commit(bench, name, without_code(own.folder, tmp_path / "model"))
    bench.put_rows(f"{name}/select", [selected(bench, (place,)) for place in range(2)])
    bench.put_rows(f"{name}/collect", [labelled(bench, (place,)) for place in range(2)])
    trainer = ResidentTrainer(bench.home, threads=1)
    settings = TrainRecipe(learning_rate=1e-4, batch_size=8, micro_tokens=1000, freeze_vision=True)
    try:
        claim = bench.claim(f"{name}-sft/train", f"{name}/select", base, settings=settings, carry=False)
        done = trainer.train(claim, 1, lambda done, total: None, never)
    finally:
        trainer.close()
    assert done.result.first_loss == pytest.approx(own.sft_loss(), rel=2e-5)
    written = bench.store.verify(done.artefact) / "model"
    assert not list(written.glob("*.py"))
    with pytest.raises(Forbidden, match=r"runs only where the operator allows it by its hash: docs/models.md"):
        load_model(written)
    allow_code(entry(own.folder, name))
    again = load_model(written)
    engine = ProbedEngine(HfEngine(bench.store, threads=1), bench.store)

    async def push() -> None:
        await engine.load(done.artefact)
        await engine.close()

    asyncio.run(push())
    frozen = {id(weight) for weight in again.get_encoder(modality="image").parameters()}
    before = dict(own.model.named_parameters())
    for key, weight in again.named_parameters():
        assert torch.equal(weight, before[key]) == (id(weight) in frozen), key
    assert again.config.architectures == own.model.config.architectures


def test_policy_prm_and_trainer_see_the_same(own: Own, tmp_path: Path) -> None:
    """As `mstar doctor --align`, with log-probabilities of a response by sampler and trainer."""
    settings = PolicySettings(home=tmp_path, trusted_code=entry(own.folder, own.family.name))
    policy = asyncio.run(policy_align.look(own.folder, "transformers", settings))
    lines = compare([policy, prm_align.look(own.folder), trainer_align.look(own.folder, tmp_path, policy.responses)])
    assert len(lines) == 3 * 3 + 1
    assert all(line.equal for line in lines), lines


def test_a_changed_byte_or_a_further_file_refuses_the_folder(own: Own, tmp_path: Path) -> None:
    changes = (
        lambda folder: next(folder.glob("modeling_*.py")).write_text("# one more line\n"),
        lambda folder: (folder / "more.py").write_text("import os\n"),
        lambda folder: next(folder.glob("image_*.py")).rename(folder / "renamed.py"),
    )
    for number, change in enumerate(changes):
        folder = tmp_path / str(number)
        shutil.copytree(own.folder, folder)
        allow_code(entry(folder, own.family.name))
        assert load_processor(folder).tokenizer
        change(folder)
        for load in (load_model, load_processor):
            with pytest.raises(Forbidden, match=r"has the digest .* look at what changed, then allow the new one"):
                load(folder)


def test_code_of_a_folder_that_is_not_allowed_is_never_run(own: Own, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(own.folder, folder)
    for path in folder.glob("*.py"):
        path.write_text(f"raise SystemExit('{path.name} ran')\n")
    for load in (load_model, load_processor):
        with pytest.raises(Forbidden, match=f"models of type '{own.family.name}' need code from a folder"):
            load(folder)
    # The allowed code is used, whatever code the folder of the weights has.
    allow_code(entry(own.folder, own.family.name))
    assert type(load_model(folder)).__name__ == own.family.model.split(".")[1]


def test_auto_map_cannot_lead_to_another_repository(own: Own, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(own.folder, folder)
    config = folder / "config.json"
    config.write_text(config.read_text().replace(own.family.config, f"someone/else--{own.family.config}"))
    allow_code(entry(folder, own.family.name))
    with pytest.raises(InvalidInput, match="code must lie there"):
        load_model(folder)
