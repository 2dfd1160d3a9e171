"""A whole evaluation against a policy and a PRM that answer over HTTP, without a network."""

import base64
import csv
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mstar.errors import Conflict, CorruptArtefact, InvalidInput, NotFound, Unavailable
from mstar.http_json import Target
from mstar.judges import BENCHMARKS
from mstar.prompts import PRESETS, PROMPT_FILE, PromptForm, PromptPreset
from mstar_data.benchmarks import Shown
from mstar_eval.measuring import items, measure, read_results, write_summary
from mstar_eval.models import Measured, folder_version, measured
from mstar_eval.results import EvaluationResult, compared, markdown, warnings
from mstar_eval.services import ModelServices, SamplingOptions
from mstar_eval.session import Session, prm_of

CASES = Path(__file__).parents[1] / "cases" / "benchmarks"
PUBLISHED = str(CASES / "published")
GREEDY = SamplingOptions(max_tokens=64)
Answers = dict[tuple[str, str], str]


def pairs(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / "pairs" / f"{name}.jsonl").read_text().split("\n") if line]


def key(prompt: dict[str, Any]) -> tuple[str, str]:
    return prompt["question"], prompt["images"][0]["data"]


def keys(name: str) -> list[tuple[str, str]]:
    """How each item is asked: several have the same text, and then another image."""
    about = BENCHMARKS[name]
    return [(about.prompt(one.item), base64.b64encode(one.image).decode()) for one in shown_of(name)]


def written(name: str) -> Answers:
    """What the pairs say for each item, so that a test's policy says it too."""
    return dict(zip(keys(name), (row["response"] for row in pairs(name)), strict=True))


def golds(name: str) -> Answers:
    return dict(zip(keys(name), (one.item.gold for one in shown_of(name)), strict=True))


class Models:
    """A policy that says what it is told to, and a PRM that likes short responses."""

    def __init__(self, say: Callable[[dict[str, Any]], list[str]], version: str = "v1") -> None:
        self.say, self.version = say, version
        self.asked: list[dict[str, Any]] = []
        self.fails_after: int | None = None
        self.separators: set[str | None] = set()
        """Those that the PRM was sent."""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/weights":
            return httpx2.Response(200, json={"weight_version": self.version, "ready": True, "model": "m"})
        body = json.loads(request.content)
        if request.url.path == "/v1/score":
            self.separators.add(body.get("step_separator"))
            results = [
                {"index": place, "score": 1 / (1 + len(one["text"])), "steps": []}
                for place, one in enumerate(body["responses"])
            ]
            return httpx2.Response(200, json={"model_version": "p1", "results": results})
        if self.fails_after is not None and len(self.asked) >= self.fails_after:
            # Long enough that the first failure is seen while others wait.
            time.sleep(0.05)
            return httpx2.Response(500, json={"code": "internal", "detail": "the policy broke"})
        self.asked += body["prompts"]
        if any("too long" in prompt["question"] for prompt in body["prompts"]):
            return httpx2.Response(422, json={"code": "invalid-input", "detail": "prompts.0 has too many tokens"})
        samples = [[{"text": text} for text in self.say(prompt)] for prompt in body["prompts"]]
        return httpx2.Response(200, json={"weight_version": self.version, "samples": samples})


class FakeSession(Session):
    """A session whose services are `Models`."""

    def __init__(self, models: Models, prm: str | None = None, name: str = "m", form: PromptForm | None = None) -> None:
        super().__init__(Measured(name=name, url="http://policy", form=form), prm, Path("unused"))
        self._models = models

    def _started(self) -> ModelServices:
        prm = Target("http://prm") if self._prm else None
        transport = httpx2.MockTransport(self._models)
        return self._stack.enter_context(ModelServices(Target("http://policy"), prm, transport, patience=0.1))


@contextmanager
def saying(answers: Answers, **options: Any) -> Iterator[tuple[Session, Models]]:
    models = Models(lambda prompt: [answers[key(prompt)]] * prompt.get("n", 1))
    with FakeSession(models, **options) as session:
        yield session, models


def shown_of(name: str) -> list[Shown]:
    return items(BENCHMARKS[name], [PUBLISHED])


@pytest.mark.parametrize(
    ("name", "average"),
    [("mathvista", 13 / 20), ("m3cot", 14 / 20), ("mmstar", 11 / 20), ("mmbench", 5 / 8), ("ai2d", 13 / 20)],
)
def test_the_hand_made_responses_give_the_hand_counted_score(tmp_path: Path, name: str, average: float) -> None:
    with saying(written(name)) as (session, models):
        result = measure(BENCHMARKS[name], shown_of(name), session, GREEDY, tmp_path, 0)
    assert result.lines[0].average.share == pytest.approx(average)
    assert [prompt["temperature"] for prompt in models.asked] == [0.0] * 20
    assert base64.b64decode(models.asked[0]["images"][0]["data"]).startswith(b"\x89PNG")
    verdicts = (tmp_path / "verdicts" / f"{name}.jsonl").read_text().strip().split("\n")
    assert len(verdicts) == 20 and json.loads(verdicts[0])["verdicts"][0]["correct"]


def test_an_evaluation_that_was_stopped_goes_on_and_a_finished_one_asks_nothing(tmp_path: Path) -> None:
    answers, shown = written("m3cot"), shown_of("m3cot")
    path = tmp_path / "responses" / "m3cot.jsonl"
    with saying(answers) as (session, _):
        whole = measure(BENCHMARKS["m3cot"], shown, session, GREEDY, tmp_path, 0)
    kept = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(kept[:8]) + b"\n" + kept[8][:20])  # 7 rows, and one that a kill cut off
    with saying(answers) as (session, models):
        assert measure(BENCHMARKS["m3cot"], shown, session, GREEDY, tmp_path, 0) == whole
        assert len(models.asked) == 13
    with saying(answers) as (session, models):
        assert measure(BENCHMARKS["m3cot"], shown, session, GREEDY, tmp_path, 0) == whole
        assert models.asked == []


def test_responses_of_other_settings_are_not_continued(tmp_path: Path) -> None:
    shown = shown_of("ai2d")
    with saying(written("ai2d")) as (session, _):
        measure(BENCHMARKS["ai2d"], shown, session, GREEDY, tmp_path, 0)
        with pytest.raises(Conflict, match=r"max_tokens = 64, now it is 65: choose another --out"):
            measure(BENCHMARKS["ai2d"], shown, session, SamplingOptions(max_tokens=65), tmp_path, 0)
        with pytest.raises(Conflict, match="data_sha256"):
            measure(BENCHMARKS["ai2d"], shown[1:], session, GREEDY, tmp_path, 0)
    (tmp_path / "responses" / "ai2d.jsonl").write_text("not ours\n")
    with saying(written("ai2d")) as (session, _), pytest.raises(CorruptArtefact, match="remove it"):
        measure(BENCHMARKS["ai2d"], shown, session, GREEDY, tmp_path, 0)


@pytest.mark.timeout(120)
def test_what_was_answered_before_an_error_is_kept_and_what_waits_is_given_up(tmp_path: Path) -> None:
    # More shards than are asked for at a time: those after the error are never begun.
    shown = [one for place in range(20) for one in _renamed(shown_of("ai2d"), place)]
    models = Models(lambda prompt: ["A"])
    models.fails_after = 32
    with FakeSession(models) as session, pytest.raises(Exception, match="the policy broke"):
        measure(BENCHMARKS["ai2d"], shown, session, GREEDY, tmp_path, 0)
    models.fails_after = None
    with FakeSession(models) as session:
        assert measure(BENCHMARKS["ai2d"], shown, session, GREEDY, tmp_path, 0).items == 400
    assert len(models.asked) == 400


@pytest.mark.parametrize("separator", [None, "\n\n", "\n"])
def test_the_prm_is_told_what_separates_the_steps_of_a_runs_policy(tmp_path: Path, separator: str | None) -> None:
    run = PRESETS[PromptPreset.MSTAR]
    form = None if separator is None else run.model_copy(update={"step_separator": separator})
    models = Models(lambda prompt: ["A\nB", "C"])
    with FakeSession(models, "http://prm", form=form) as session:
        measure(BENCHMARKS["m3cot"], shown_of("m3cot")[:2], session, SamplingOptions(n=2, temperature=0.7), tmp_path, 0)
    assert models.separators == {separator}, "without a run it is left out, and the PRM's own counts"


def test_the_best_of_n_is_the_prms_choice(tmp_path: Path) -> None:
    shown = shown_of("ai2d")
    right = golds("ai2d")
    models = Models(lambda prompt: [f"A long way.\n\n## Answer\n\n{'Q' * 9}", right[key(prompt)], "no such one"])
    with FakeSession(models, "http://prm") as session:
        result = measure(BENCHMARKS["ai2d"], shown, session, SamplingOptions(3, 0.7, 64), tmp_path, 0)
    assert {line.measure: round(line.average.share, 3) for line in result.lines} == {
        "mean of 3": 0.333, "best of 3 by the PRM": 1.0, "any of 3": 1.0,
    }  # fmt: skip
    assert len({prompt["seed"] for prompt in models.asked}) == 20


def test_an_item_that_cannot_be_asked_costs_only_itself(tmp_path: Path) -> None:
    shown = shown_of("ai2d")
    long = shown[3].item.model_copy(update={"question": "too long"})
    shown[3] = Shown(long, shown[3].image)
    models = Models(lambda prompt: ["A"])
    with FakeSession(models) as session:
        result = measure(BENCHMARKS["ai2d"], shown, session, GREEDY, tmp_path, 0)
    assert (result.items, result.refused) == (20, 1)
    final = EvaluationResult(model="m", benchmarks={"ai2d": result})
    assert "1 items could not be asked and count as wrong: prompts.0 has too many tokens" in "\n".join(
        warnings(final.benchmarks)
    )


def test_weights_that_change_meanwhile_stop_the_evaluation(tmp_path: Path) -> None:
    models = Models(lambda prompt: ["A"])
    with FakeSession(models) as session:
        session.services()
        models.version = "v2"
        with pytest.raises(Conflict, match="now serves v2"):
            measure(BENCHMARKS["ai2d"], shown_of("ai2d"), session, GREEDY, tmp_path, 0)


def test_two_models_are_compared_on_the_same_questions(tmp_path: Path) -> None:
    results = {}
    for name, say in (("weak", "A"), ("strong", None)):
        shown, right = shown_of("ai2d"), golds("ai2d")
        models = Models(lambda prompt, say=say, right=right: [say or right[key(prompt)]])
        with FakeSession(models, name=name) as session:
            one = measure(BENCHMARKS["ai2d"], shown, session, GREEDY, tmp_path / name, 0)
        results[name] = EvaluationResult(model=name, benchmarks={"ai2d": one})
        write_summary(tmp_path / name, results[name])
    final = compared(results["strong"], read_results(tmp_path / "weak"))
    assert final.differences["ai2d"].points > 0.4 and final.differences["ai2d"].p_value < 0.05
    assert "Against weak" in markdown(final)
    with pytest.raises(NotFound, match="another evaluation"):
        read_results(tmp_path / "none")
    with pytest.raises(InvalidInput, match="no benchmark in common"):
        compared(results["strong"], EvaluationResult(model="x", benchmarks={}))


def test_result_files_have_the_shapes_of_both_toolkits(tmp_path: Path) -> None:
    with saying(written("mmbench")) as (session, _):
        result = measure(BENCHMARKS["mmbench"], shown_of("mmbench"), session, GREEDY, tmp_path, 0)
    write_summary(tmp_path, EvaluationResult(model="m", benchmarks={"mmbench": result}))
    folder = tmp_path / "vlmevalkit" / "m"
    with (folder / "m_MMBench_DEV_EN_V11.tsv").open(newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    assert len(rows) == 20 and rows[0]["index"] == "1" and rows[0]["prediction"] == "C" and rows[0]["answer"] == "C"
    with (folder / "m_MMBench_DEV_EN_V11_acc.csv").open(newline="") as table:
        (scores,) = csv.DictReader(table)
    assert float(scores["Overall"]) == 0.625 and float(scores["LR"]) == 1.0 and float(scores["AR"]) == 0.5
    (samples,) = (tmp_path / "lmms-eval" / "m").glob("*_samples_mmbench_en_dev_static.jsonl")
    line = json.loads(samples.read_text().split("\n")[0])
    assert {"doc_id", "target", "input", "resps", "filtered_resps", "doc_hash"} <= set(line)
    (path,) = (tmp_path / "lmms-eval" / "m").glob("*_results.json")
    assert json.loads(path.read_text())["results"]["mmbench_en_dev_static"]["exact_match,none"] == 0.625


def test_what_is_measured_is_a_run_a_folder_or_an_address(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    for folder in (home / "r1" / "policy", home / "r1" / "prm", tmp_path / "model"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    (home / "r2").mkdir()
    (home / "latest").symlink_to("r1")
    builtins = {"builtin:minivista": tmp_path / "builtin"}
    run = measured("latest", home, builtins)
    assert (run.name, run.folder, run.prm) == ("r1", home / "latest" / "policy", home / "latest" / "prm")
    assert prm_of(None, run, 4) == run.prm and prm_of(None, run, 1) is None and prm_of("none", run, 4) is None
    assert measured(str(tmp_path / "model"), home, builtins).name == "model"
    assert measured("http://u:p@host:1/x", home, builtins).name == "host_1_x"
    assert measured("builtin:minivista", home, builtins).folder == tmp_path / "builtin"
    with pytest.raises(NotFound, match="written at the run's end"):
        measured("r2", home, builtins)
    with pytest.raises(NotFound, match="neither a run in"):
        measured("r3", home, builtins)
    with pytest.raises(InvalidInput, match=r"no config\.json"):
        measured(str(tmp_path), home, builtins)
    form = PRESETS[PromptPreset.BOXED]
    assert run.form is None
    (home / "r1" / "policy" / PROMPT_FILE).write_text(form.model_dump_json())
    assert measured("r1", home, builtins).form == measured(str(home / "r1" / "policy"), home, builtins).form == form
    (home / "r1" / "policy" / PROMPT_FILE).write_text("{}")
    with pytest.raises(CorruptArtefact, match="holds no prompt"):
        measured("r1", home, builtins)
    version = folder_version(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text("[]")
    assert folder_version(tmp_path / "model") != version


def test_a_policy_without_weights_says_so() -> None:
    def empty(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"weight_version": "", "ready": False, "model": ""})

    with (
        ModelServices(Target("http://policy"), transport=httpx2.MockTransport(empty)) as services,
        pytest.raises(Unavailable, match="no weights"),
    ):
        services.weights()


def test_data_that_is_not_named_is_asked_for() -> None:
    with pytest.raises(InvalidInput, match=r"--data FOLDER or --data ai2d=PATH"):
        items(BENCHMARKS["ai2d"], [])
    assert len(items(BENCHMARKS["mmstar-r"], [f"mmstar={CASES / 'published' / 'MMStar'}"])) == 17


def _renamed(shown: list[Shown], place: int) -> list[Shown]:
    return [Shown(one.item.model_copy(update={"id": f"{place}-{one.item.id}"}), one.image) for one in shown]
