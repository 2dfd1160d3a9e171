"""What `mstar study run` says while it waits."""

import io
from pathlib import Path

from rich.console import Console

from mstar.api.runs import Progress, Run
from mstar.api.studies import StudyRunView, StudyView
from mstar.cli.study import goes_on, how_to_report, study_table, under_way
from mstar.evolution import RunState
from mstar.recipes import Recipe
from mstar.study.states import StudyState
from study_bench import study


def test_the_line_says_which_run_is_under_way_and_how_far_it_is() -> None:
    runs = (
        StudyRunView(arm="all", seed=1, run="r-1", state=RunState.SUCCEEDED),
        StudyRunView(arm="top-2", seed=1, run="r-2", state=RunState.RUNNING),
        StudyRunView(arm="all", seed=2),
    )
    view = StudyView(
        id="s-1", name="mine", state=StudyState.RUNNING, created_at=0, updated_at=0, study=study(), runs=runs
    )
    run = Run(
        id="r-2", name="top-2", state=RunState.RUNNING, created_at=0, updated_at=0, iterations=1,
        recipe=Recipe(name="x"), progress=Progress(steps_done=7, steps_total=31, stage="it01/train"),
    )  # fmt: skip
    line = "1 of 3 runs ended · top-2 · seed 1 · 7/31 steps · it01/train"
    assert under_way(view, runs[1], run) == line
    held = run.model_copy(update={"problem": "no worker asks for it"})
    assert under_way(view, runs[1], held) == f"{line} · no worker asks for it"


def test_eighty_columns_show_whole_ids() -> None:
    runs = (StudyRunView(arm="continuous", seed=111, run="r-01m8fvrhnqg2j6", state=RunState.SUCCEEDED),)
    view = StudyView(
        id="s-1", name="mine", state=StudyState.RUNNING, created_at=0, updated_at=0, study=study(), runs=runs
    )
    console = Console(width=80, file=io.StringIO())
    console.print(study_table(view, {}))
    assert isinstance(console.file, io.StringIO)
    assert [one for one in ("r-01m8fvrhnqg2j6", "succeeded", "continuous") if one not in console.file.getvalue()] == []


def test_what_is_to_be_typed_next_finds_the_numbers_of_a_stack_that_has_ended() -> None:
    assert how_to_report("mine.yaml", None, None).endswith("mstar study report mine.yaml")
    told = how_to_report("my study.yaml", Path("work"), Path("results"))
    assert told.endswith("mstar study report 'my study.yaml' --results results")
    assert "mstar up --home work, then " in how_to_report("mine.yaml", Path("work"), None)


def test_a_part_of_a_study_does_not_wait_for_the_other_runs_of_a_home_of_its_own() -> None:
    plan = study()
    arms = list(plan.arms)
    runs = [StudyRunView(arm=arm, seed=seed) for arm, seed in plan.runs()]
    runs[0] = runs[0].model_copy(update={"run": "r-1", "state": RunState.SUCCEEDED})
    view = StudyView(
        id="s-1", name="mine", state=StudyState.RUNNING, created_at=0, updated_at=0, study=plan, runs=tuple(runs)
    )
    rest = plan.runs()[1:]
    part = plan.part([arms[-1]])
    assert goes_on(view, plan, rest, alone=True) and goes_on(view, plan, rest, alone=False)
    assert goes_on(view, plan, part, alone=False) and not goes_on(view, plan, part, alone=True)
    assert not goes_on(view.model_copy(update={"state": StudyState.CANCELLED}), plan, rest, alone=False)
    assert not goes_on(view, plan.model_copy(update={"name": "other"}), rest, alone=False)
