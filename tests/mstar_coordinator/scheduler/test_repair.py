"""Damage of what a run has committed: it is found, made again, and followed only where it comes out differently."""

import gzip
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import pytest

from coordinator_bench import SMALL, Bench, commit_of
from mstar.api.steps import Claim, Commit, Release
from mstar.errors import CorruptArtefact, IllegalTransition, MissingArtefact, NotFound, StaleEpoch
from mstar.evolution import RunState
from mstar.steps import DoneResult
from mstar.types import Question, Sha256
from mstar_artefacts.images import NOT_STORED, ImageStore
from mstar_coordinator.export.folders import digest_of_all, replace_folder
from mstar_coordinator.scheduler.repair import Findings, Repair
from mstar_coordinator.store.records import StepRecord, StepState

SHARD = "it01/generate/0000"


class Maker:
    """Workers in the test: each artefact holds a digest of what it was made of, and of `salt` for its step."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.images = ImageStore(bench.home / ".mstar" / "images")
        self.repair = Repair(bench.store, bench.artefacts, self.images, bench.lifecycle, bench.folders.path)
        self.digests_taken = True
        self.salt: dict[str, str] = {}
        self.made: list[str] = []

    def do(self, claim: Claim) -> None:
        self.made.append(claim.step.name)
        self.bench.lifecycle.commit(claim.step_id, self.commit(claim))

    def commit(self, claim: Claim) -> Commit:
        commit = commit_of(claim)
        if claim.step.params.kind == "publish" and self.digests_taken:
            policy = self.folder(claim.run_id, "policy")
            replace_folder(policy, lambda folder: _save(folder / "model"))
            left = {"policy": digest_of_all(policy) or ""}
            return commit.model_copy(update={"result": DoneResult(left=left)})
        if commit.artefact is None:
            return commit
        used = sorted(f"{n} {one.artefact.sha256}" for n, one in claim.inputs.items() if one.artefact is not None)

        def fill(folder: Path) -> None:
            if claim.step.name == "prepare":
                (folder / "questions").mkdir()
                question = Question(id="q", text="what?", images=(self.images.put(b"a picture"),))
                with gzip.GzipFile(folder / "questions" / "train.jsonl.gz", "wb", mtime=0) as out:
                    out.write(question.model_dump_json().encode() + b"\n")
            text = "\n".join([*used, self.salt.get(claim.step.name, "")])
            (folder / "rows").write_text(hashlib.sha256(text.encode()).hexdigest())

        store, own = self.bench.artefacts, claim.output_id
        # `prepare` stores images whatever is there; the others adopt what an earlier attempt has left.
        adopted = None if claim.step.name == "prepare" else store.adopt(own)
        ref = adopted or store.write(own, fill, {})
        return commit.model_copy(update={"artefact": ref})

    def work(self, until: Callable[[Claim], bool] = lambda _: False) -> Claim | None:
        """Do what is due until nothing is, or until a claim meets the condition, which is returned."""
        while due := self.bench.due():
            claim = self.bench.lifecycle.claim(due[0], "w")
            if until(claim):
                return claim
            self.do(claim)
        return None

    def digests(self, run_id: str) -> dict[str, str | None]:
        return {name: one.artefact and one.artefact.sha256 for name, one in self.bench.steps(run_id).items()}

    def folder(self, run_id: str, name: str) -> Path:
        return self.bench.home / run_id / name


def _save(path: Path) -> None:
    path.write_bytes(b"weights of a model")


@pytest.fixture
def maker(bench: Bench) -> Maker:
    return Maker(bench)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped byte": lambda folder: flip(folder / "rows"),
    "truncated": lambda folder: truncate(folder / "rows"),
    "missing file": lambda folder: (folder / "rows").unlink(),
    "flipped manifest": lambda folder: flip(folder / "manifest.json"),
    "another manifest": lambda folder: (folder / "manifest.json").write_bytes(
        (folder / "manifest.json").read_bytes().replace(b'"metadata":{}', b'"metadata":{"a":1}')
    ),
    "truncated manifest": lambda folder: truncate(folder / "manifest.json"),
    "missing manifest": lambda folder: (folder / "manifest.json").unlink(),
    "missing folder": lambda folder: folder.rename(folder.parent / ".tmp-gone"),
}


def failed_at(maker: Maker, run_id: str, wanted: str, damage: Callable[[Path], None]) -> None:
    """A run whose step `wanted` fails since what it reads of the first shard is damaged."""
    claim = maker.work(lambda claim: claim.step.name == wanted)
    assert claim is not None
    damage(maker.folder(run_id, SHARD))
    error = Release(epoch=claim.epoch, error="rows do not match", code=CorruptArtefact.code, retryable=False)
    maker.bench.lifecycle.release(claim.step_id, error)
    assert maker.bench.run(run_id).state is RunState.FAILED
    assert f"mstar run resume {run_id}" in str(maker.bench.run(run_id).error)


@pytest.mark.parametrize("kind", DAMAGES)
def test_resume_makes_again_what_is_damaged_and_ends_as_if_nothing_had_been(maker: Maker, kind: str) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    failed_at(maker, run_id, "it01/select/0000", DAMAGES[kind])
    maker.made.clear()
    found = maker.repair.resume(run_id)
    assert list(found.lost) == [SHARD]
    assert maker.bench.steps(run_id)["it01/select/0000"].waiting == 1
    maker.work()
    assert maker.bench.run(run_id).state is RunState.SUCCEEDED
    assert maker.made.count(SHARD) == 1 and "prepare" not in maker.made
    assert maker.repair.repair(run_id).lost == {}
    events = maker.bench.events(run_id)
    assert events.count("artefact.damaged") == 1 and "step.changed" not in events


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (MissingArtefact.code, "artefact r/it01/generate/0000 does not exist"),
        (NotFound.code, f"image 0123 {NOT_STORED}"),
    ],
)
def test_who_misses_what_a_step_has_left_is_told_how_it_comes_back(maker: Maker, code: str, error: str) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    claim = maker.work(lambda claim: claim.step.name == "it01/select/0000")
    assert claim is not None
    release = Release(epoch=claim.epoch, error=error, code=code, retryable=False)
    maker.bench.lifecycle.release(claim.step_id, release)
    assert f"mstar run resume {run_id}" in str(maker.bench.run(run_id).error)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: truncate(folder / "policy" / "model"),
        lambda folder: (folder / "policy" / "model").unlink(),
        lambda folder: _save(folder / "policy" / "another"),
        lambda folder: (folder / "policy").rename(folder / ".tmp-gone"),
        lambda folder: folder.rename(folder.parent / ".tmp-all-gone"),
    ],
)
def test_what_a_run_has_published_is_published_again(maker: Maker, damage: Callable[[Path], None]) -> None:
    """People take it away, and the folder is theirs to tidy up."""
    run_id = maker.bench.lifecycle.create(SMALL)
    maker.work()
    folder = maker.folder(run_id, "")
    damage(folder)
    assert maker.repair.repair(run_id).lost["publish/01"].reason == "policy of the run's folder is gone or changed"
    maker.work()
    assert maker.bench.run(run_id).state is RunState.SUCCEEDED
    assert [path.name for path in (folder / "policy").iterdir()] == ["model"]
    assert maker.repair.repair(run_id).lost == {}


def test_what_a_run_of_an_older_release_has_published_is_missed_where_it_is_gone(maker: Maker) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    maker.digests_taken = False
    maker.work()
    for place in ("policy", "prm", "cot_dataset", "prm_dataset", "report.html"):
        maker.folder(run_id, place).mkdir(exist_ok=True)
    assert maker.repair.repair(run_id).lost == {}
    maker.folder(run_id, "prm_dataset").rmdir()
    assert maker.repair.repair(run_id).lost["publish/01"].reason.startswith("prm_dataset of")


def test_what_hangs_on_an_artefact_stays_where_it_comes_out_the_same(maker: Maker) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    maker.work()
    before = maker.digests(run_id)
    maker.made.clear()
    flip(maker.folder(run_id, SHARD) / "rows")
    flip(maker.folder(run_id, "it01/train") / "manifest.json")
    assert set(maker.repair.repair(run_id).lost) == {SHARD, "it01/train"}
    assert maker.bench.run(run_id).state is RunState.RUNNING
    maker.work()
    assert maker.made == [SHARD, "it01/train"]
    assert maker.digests(run_id) == before
    assert maker.bench.run(run_id).state is RunState.SUCCEEDED


def test_what_hangs_on_an_artefact_is_done_again_where_it_comes_out_differently(maker: Maker) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    maker.work()
    before = maker.digests(run_id)
    maker.made.clear()
    maker.salt[SHARD] = "another draw"
    flip(maker.folder(run_id, SHARD) / "rows")
    maker.repair.repair(run_id)
    maker.work()
    after = maker.digests(run_id)
    assert maker.bench.run(run_id).state is RunState.SUCCEEDED
    changed = {name for name in after if after[name] != before[name]}
    evaluated = {name for name in after if name.startswith("eval/it01/") and after[name] is not None}
    assert changed == {SHARD, "it01/select/0000", "it01/train", *evaluated}
    # What reads only shards that are as before is not done again, and what reads the policy is.
    assert "it01/generate/0001" not in maker.made and "publish/01" in maker.made
    assert "step.changed" in maker.bench.events(run_id)


def test_a_worker_that_reads_what_is_made_again_loses_its_lease(maker: Maker) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    claim = maker.work(lambda claim: claim.step.name == "it01/select/0000")
    assert claim is not None
    flip(maker.folder(run_id, SHARD) / "rows")
    maker.repair.repair(run_id)
    with pytest.raises(StaleEpoch):
        maker.bench.lifecycle.commit(claim.step_id, commit_of(claim))
    maker.work()
    assert maker.bench.run(run_id).state is RunState.SUCCEEDED


def test_nothing_is_claimed_while_questions_and_model_are_prepared_again(maker: Maker) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    maker.work(lambda claim: claim.step.name == "it01/select/0000")
    flip(maker.folder(run_id, "prepare") / "rows")
    maker.repair.repair(run_id)
    assert [maker.bench.step_id(run_id, "prepare")] == maker.bench.due()
    maker.work()
    assert maker.bench.run(run_id).state is RunState.SUCCEEDED


def test_what_nothing_reads_any_more_is_left_to_repair(maker: Maker) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    maker.work(lambda claim: claim.step.name == "it01/select/0000")
    flip(maker.folder(run_id, "warmup/generate/0000") / "rows")
    maker.bench.lifecycle.pause(run_id)
    assert maker.repair.resume(run_id).lost == {}
    maker.bench.lifecycle.pause(run_id)
    assert list(maker.repair.repair(run_id).lost) == ["warmup/generate/0000"]
    assert maker.bench.run(run_id).state is RunState.PAUSED


def test_a_damaged_input_of_what_is_damaged_is_made_again_first(maker: Maker) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    claim = maker.work(lambda claim: claim.step.name == "it01/train")
    assert claim is not None
    for name in (SHARD, "it01/select/0000"):
        flip(maker.folder(run_id, name) / "rows")
    maker.bench.lifecycle.release(claim.step_id, Release(epoch=claim.epoch, error="x", retryable=False))
    assert list(maker.repair.resume(run_id).lost) == [SHARD, "it01/select/0000"]
    maker.work()
    assert maker.bench.run(run_id).state is RunState.SUCCEEDED


def test_a_cancelled_run_is_not_repaired(maker: Maker) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    maker.bench.lifecycle.cancel(run_id)
    with pytest.raises(IllegalTransition):
        maker.repair.repair(run_id)


def test_whole_artefacts_change_nothing(maker: Maker) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    maker.work()
    found = maker.repair.repair(run_id)
    kept = [one for one in maker.bench.steps(run_id).values() if one.artefact is not None]
    assert found.lost == {} and found.checked == len(kept)
    assert {step.state for step in maker.bench.steps(run_id).values()} == {StepState.DONE}
    assert maker.bench.events(run_id)[-1] == "run.succeeded"


class Slow(Repair):
    """Looks, and acts once somebody else has acted on the same damage."""

    meanwhile: Callable[[], None]

    def _check(self, steps: Mapping[str, StepRecord], wanted: Collection[str], *, images: bool) -> Findings:
        found = super()._check(steps, wanted, images=images)
        self.meanwhile()
        return found


@pytest.mark.parametrize("hurt", [SHARD, "prepare"])
def test_a_finished_run_stays_finished_where_its_damage_was_mended_while_it_was_looked_for(
    maker: Maker, hurt: str
) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    maker.work()
    (image,) = maker.images.root.glob("*/*.img")
    flip(image if hurt == "prepare" else maker.folder(run_id, hurt) / "rows")
    slow = Slow(maker.bench.store, maker.bench.artefacts, maker.images, maker.bench.lifecycle, maker.bench.folders.path)

    def mend() -> None:
        assert list(maker.repair.repair(run_id).lost) == [hurt]
        maker.work()

    slow.meanwhile = mend
    found = slow.repair(run_id)
    assert found.lost == {} and found.checked > 1
    assert maker.bench.run(run_id).state is RunState.SUCCEEDED and maker.bench.due() == []
    assert maker.bench.events(run_id).count("artefact.damaged") == 1


def test_an_image_that_is_damaged_is_stored_anew(maker: Maker) -> None:
    run_id = maker.bench.lifecycle.create(SMALL)
    maker.work()
    before = maker.digests(run_id)
    (image,) = maker.images.root.glob("*/*.img")
    flip(image)
    maker.made.clear()
    found = maker.repair.repair(run_id)
    assert list(found.lost) == ["prepare"] and image.stem in found.lost["prepare"].reason
    maker.work()
    assert maker.made == ["prepare"] and maker.digests(run_id) == before
    assert image.read_bytes() == b"a picture"


class Busy(ImageStore):
    """While it is looked through, a run stores its image anew."""

    def damaged(self, digests: Iterable[Sha256]) -> list[Sha256]:
        found = super().damaged(digests)
        self.put(b"a picture")
        return found


def test_an_image_that_was_stored_anew_while_others_were_looked_at_is_kept(maker: Maker) -> None:
    """As by two people who resume one run at the same time."""
    run_id = maker.bench.lifecycle.create(SMALL)
    maker.work()
    (image,) = maker.images.root.glob("*/*.img")
    image.write_bytes(b"torn")
    busy = Busy(maker.images.root)
    repair = Repair(maker.bench.store, maker.bench.artefacts, busy, maker.bench.lifecycle, maker.bench.folders.path)
    assert repair.repair(run_id).lost == {}
    assert image.read_bytes() == b"a picture"
