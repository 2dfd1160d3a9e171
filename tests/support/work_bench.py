"""A worker's surroundings without processes: a small data set on disk, and policy and PRM that answer by a rule."""

import json
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx2

from mstar.api.policy import Prompt, RefusedPrompt, RolloutReply, RolloutRequest, Usage, WeightsState, WeightsUpdate
from mstar.api.prm import ItemError, ScoredResponse, ScoredStep, ScoreReply, ScoreRequest
from mstar.api.steps import Claim, StepInput
from mstar.errors import InvalidInput, MstarError, NotFound, Unavailable, WeightVersionMismatch
from mstar.gpu_memory import GpuMemory
from mstar.layout import scored_segments
from mstar.needed_scores import NO_SAVINGS, Savings
from mstar.recipes import DataRecipe, GenerationRecipe, ModelRecipe, PrmRecipe, Recipe
from mstar.results import RunResults
from mstar.seeds import derive
from mstar.stages import StepSpec
from mstar.stages.prepare import PrepareParams
from mstar.steps import ArtefactRef, DoneResult, StepParams, StepResult
from mstar.types import Response
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.worker.clients import PolicyService, PrmService
from mstar_coordinator.worker.context import ClaimedStep, Collaborators, Params
from mstar_coordinator.worker.steps import prepare
from small_png import small_png
from trusting_looks import TrustingLooks

SIZES = {"train": 8, "validation": 4, "test_id": 6, "test_ood": 4}
RUN = "r-1"


class RuleService(httpx2.BaseTransport):
    """The HTTP side of a model service: it holds one weight version and refuses requests for any other."""

    def __init__(self) -> None:
        self.loaded: str | None = None
        self.checksum = ""
        self.gpu_memory: GpuMemory | None = None
        self.failures: list[Exception] = []
        """What the next requests end with, before they are looked at."""
        self.requests: list[str] = []
        self._lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        with self._lock:
            self.requests.append(f"{request.method} {request.url.path}")
            if self.failures:
                raise self.failures.pop(0)
        try:
            body = self.answer(request.url.path, request.read())
        except MstarError as error:
            return httpx2.Response(error.status, json=error.problem())
        return httpx2.Response(200, content=body)

    def answer(self, path: str, body: bytes) -> str:
        if path == "/v1/weights" and not body:
            loaded = self.loaded or ""
            state = WeightsState(weight_version=loaded, ready=bool(loaded), model="m", gpu_memory=self.gpu_memory)
            return state.model_dump_json()
        if path == "/v1/weights":
            update = WeightsUpdate.model_validate_json(body)
            self.loaded = ArtefactRef(id=update.artefact, sha256=update.manifest_sha256).version
            return WeightsState(
                weight_version=self.loaded, ready=True, model="m", checksum=self.checksum
            ).model_dump_json()
        raise NotFound(path)

    def check_version(self, wanted: str | None) -> str:
        if self.loaded is None:
            raise Unavailable("no weights are loaded", retry_after=1)
        if wanted != self.loaded:
            raise WeightVersionMismatch(f"{self.loaded} is loaded, not {wanted}")
        return self.loaded


class RulePolicy(RuleService):
    """Knows that the answer to `How many is 7?` is 7, and says so in about half of its samples.

    A prefix that contains `bad` is never completed to the right answer, one with `good` always.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rollouts: list[RolloutRequest] = []
        self.too_long: str | None = None
        """Prompts that hold this are refused."""

    def answer(self, path: str, body: bytes) -> str:
        if path != "/v1/rollouts":
            return super().answer(path, body)
        request = RolloutRequest.model_validate_json(body)
        version = self.check_version(request.weight_version)
        self.rollouts.append(request)
        refused = [place for place, prompt in enumerate(request.prompts) if self._refuses(prompt)]
        samples = tuple(
            tuple(
                _sample(prompt.question, prompt.prefix, derive(prompt.seed, draw))
                for draw in range(0 if place in refused else prompt.n)
            )
            for place, prompt in enumerate(request.prompts)
        )
        logprobs = tuple(tuple((-1.0 * prompt.seed,) for _ in range(prompt.n)) for prompt in request.prompts)
        told = logprobs if request.logprobs else None
        named = tuple(RefusedPrompt(index=place, detail="too long for the model") for place in refused)
        reply = RolloutReply(weight_version=version, samples=samples, token_logprobs=told, usage=Usage(), refused=named)
        return reply.model_dump_json()

    def _refuses(self, prompt: Prompt) -> bool:
        return self.too_long is not None and self.too_long in f"{prompt.question}{prompt.prefix}"


def _sample(question: str, prefix: str, draw: int) -> Response:
    gold = int(question.partition("?")[0].removeprefix("How many is "))
    right = "good" in prefix or (draw % 2 == 0 and "bad" not in prefix)
    step = "" if prefix else f"{'good' if right else 'bad'} step {draw % 5}\n\nthen more\n\n"
    return Response(text=f"{step}## Answer\n\n{gold if right else gold + 1}", token_ids=(1, 2, 3))


ENDLESS = "endless"
"""In a response that is too long for the PRM."""


class RulePrm(RuleService):
    """Gives 0.9 to every step but those with `bad` in it, which get 0.1; takes no response with ENDLESS in it."""

    def __init__(self) -> None:
        super().__init__()
        self.scored: list[ScoreRequest] = []
        self.jitter = 0.0
        """What the first response of a request gets more than its steps are worth, and the others less."""

    def answer(self, path: str, body: bytes) -> str:
        if path != "/v1/score":
            return super().answer(path, body)
        request = ScoreRequest.model_validate_json(body)
        version = self.check_version(request.model_version)
        self.scored.append(request)
        texts = [one.text or " ".join(one.steps or ()) for one in request.responses]
        if all(ENDLESS in text for text in texts):
            raise InvalidInput("response 0 is too long", field="responses.0")
        results = tuple(
            ScoredResponse(
                index=index, score=0.0, steps=(), error=ItemError(detail="too long", field=f"responses.{index}")
            )
            if ENDLESS in texts[index]
            else _scored(
                index, one.steps or scored_segments(one.text or ""), self.jitter if index == 0 else -self.jitter
            )
            for index, one in enumerate(request.responses)
        )
        return ScoreReply(model_version=version, results=results).model_dump_json()


def _scored(index: int, segments: tuple[str, ...], more: float) -> ScoredResponse:
    steps = tuple(ScoredStep(text=part, score=more + (0.1 if "bad" in part else 0.9)) for part in segments)
    return ScoredResponse(index=index, score=min(step.score for step in steps), steps=steps)


class Bench:
    """One home folder with its data set prepared. Artefacts and results of done steps are put into `inputs`."""

    def __init__(self, root: Path, policy: "RulePolicy | None" = None, prm: "RulePrm | None" = None) -> None:
        self.policy = policy or RulePolicy()
        self.prm = prm or RulePrm()
        self.store = ArtefactStore(root / "home")
        self.images = ImageStore(root / "home" / ".mstar" / "images")
        self.context = Collaborators(
            home=root / "home",
            store=self.store,
            images=self.images,
            looks=lambda: nullcontext(TrustingLooks()),
            policy=PolicyService("http://policy", transport=self.policy),
            prm=PrmService("http://prm", transport=self.prm),
            results=_no_results,
        )
        self.recipe = Recipe(
            name="bench",
            data=DataRecipe(source=str(write_dataset(root / "data")), **SIZES),
            model=ModelRecipe(base=str(write_model(root / "base"))),
            generation=GenerationRecipe(shard_questions=4, max_tokens=16),
            warmup=None,
            prm=None,
            evolution={"questions": 4, "selection": {"mode": "all"}},  # type: ignore[arg-type]
            exploration={"mode": "fixed", "questions": 4},  # type: ignore[arg-type]
        )
        self.inputs: dict[str, StepInput] = {}
        self.progress: list[tuple[int, int]] = []

    def prepare(self) -> None:
        """Run the first step and keep its artefact; it serves as policy and PRM checkpoint too."""
        artefact, result = prepare.run(self.step("prepare", PrepareParams()))
        self.done("prepare", artefact, result)

    def use_prm(self, *, savings: bool) -> None:
        """Have a PRM in the recipe, with all savings or none."""
        plan = PrmRecipe(questions=4, savings=Savings() if savings else NO_SAVINGS)
        self.recipe = self.recipe.model_copy(update={"prm": plan})

    def step(self, name: str, params: Params) -> ClaimedStep[Params]:
        """The step as its worker is handed it."""
        return ClaimedStep(self.claim(name, params), params, self.report, self.context)

    def claim(self, name: str, params: StepParams) -> Claim:
        return Claim(
            step_id=name,
            run_id=RUN,
            epoch=1,
            lease_seconds=20,
            step=StepSpec(name=name, params=params),
            recipe=self.recipe,
            inputs=self.inputs,
        )

    def done(self, name: str, artefact: ArtefactRef | None, result: StepResult) -> None:
        self.inputs[name] = StepInput(artefact=artefact, result=result)

    def keep(self, name: str, rows: list[Any]) -> None:
        """Put rows that a test made by hand into the place of a step's artefact."""
        self.done(name, self.store.write_rows(f"{RUN}/{name}", rows, {}), DoneResult())

    def report(self, done: int, total: int, question: str | None = None) -> None:
        self.progress.append((done, total))


def write_dataset(folder: Path) -> Path:
    """A data set folder in which every question has a picture of its own."""
    number = 0
    for split, size in SIZES.items():
        (folder / split).mkdir(parents=True)
        rows = []
        for _ in range(size):
            number += 1
            (folder / split / f"{number}.png").write_bytes(small_png(number))
            rows.append({"file_name": f"{number}.png", "question": f"How many is {number}?", "answer": number})
        (folder / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def write_model(folder: Path) -> Path:
    """A folder that looks like a model's, with a pickle and a module beside it that must not be taken along."""
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "pytorch_model.bin", "modeling.py"):
        (folder / name).write_text('{"model_type": "idefics3"}' if name == "config.json" else name)
    return folder


def _no_results(run_id: str) -> RunResults:
    raise NotFound(f"run {run_id} has no results on the bench")
