"""What a run leaves behind where its PRM came from elsewhere: a copy with its own licence and name, and no labels."""

from dataclasses import replace
from pathlib import Path

import yaml

from example_rows import rollout
from mstar.recipes import PrmRecipe
from mstar.stages.fetch import FetchParams
from mstar.stages.publish import PublishParams
from mstar.steps import DoneResult
from mstar_coordinator.worker.steps import fetch, publish
from publish_bench import finished_run
from work_bench import RUN, Bench


def test_a_fetched_prm_is_published_as_it_is_under_its_own_name_and_licence(bench: Bench, tmp_path: Path) -> None:
    source = tmp_path / "models" / "Some-PRM"
    source.mkdir(parents=True)
    (source / "README.md").write_text("---\nlicense: mit\n---\n# A PRM")
    for name in ("config.json", "model.safetensors", "prm_scheme.json"):
        (source / name).write_text("{}")
    bench.recipe = bench.recipe.model_copy(update={"prm": PrmRecipe(base=str(source), train=None)})
    bench.done("reward/fetch", *fetch.run(bench.step("reward/fetch", FetchParams())))
    results = finished_run().model_copy(update={"recipe": bench.recipe})
    bench.context = replace(bench.context, results=lambda run_id: results)
    params = PublishParams(policy="prepare", prm="reward/fetch", selections=(), collected=None, evaluations=())
    publish.run(bench.step("publish/00", params))

    left = bench.context.home / RUN
    assert not (left / "prm_dataset").exists()
    assert (left / "prm" / "prm_scheme.json").is_file()
    card = (left / "prm" / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert (front["license"], front["base_model"]) == ("mit", "Some-PRM")
    assert "unchanged" in card and str(tmp_path) not in card


def test_a_report_shows_samples_of_a_shard_that_another_run_has_made(bench: Bench) -> None:
    row = rollout([True, False])
    row = row.model_copy(
        update={"question": row.question.model_copy(update={"images": (bench.images.put(b"a picture"),)})}
    )
    bench.keep("it01/select/0000", [])
    other = bench.store.write_rows("r-other/it01/generate/0000", [row], {})
    bench.done("it01/generate/0000", other, DoneResult())
    params = PublishParams(policy="prepare", prm=None, selections=("it01/select/0000",), collected=None, evaluations=())
    (sample,) = publish._samples(bench.step("publish/01", params))
    assert (sample.question.id, sample.images, sample.kept) == ("q1", (b"a picture",), frozenset())
    bench.store.discard(other.id)
    assert publish._samples(bench.step("publish/01", params)) == []
