"""How a benchmark's question is put: the official prompt, alone or with the instruction that the model was trained on.

A model that a run has trained states its answer where the run's prompt asked for it, so it is asked with that prompt's
instruction, and its answer is looked for there.
"""

from mstar.answers.find import find_answer
from mstar.answers.rule import AnswerPlace
from mstar.errors import InvalidInput
from mstar.judges.benchmark import Benchmark, Item
from mstar.layout import ANSWER_HEADING, STEP_SEPARATOR
from mstar.prompts import PRESETS, PromptForm, PromptPreset, Side, instruction_text
from mstar.types import Answer, AnswerType, Frozen

OFFICIAL = "official"


class Asking(Frozen):
    """The official prompt, and what is added to it."""

    name: str = OFFICIAL
    """`official`, a preset, or `run`."""
    form: PromptForm | None = None
    """Gives system turn, instruction and the answer's place; the question's own words are the benchmark's."""

    @property
    def system(self) -> str:
        """Text of the system turn; empty for none."""
        return self.form.system if self.form is not None else ""

    def text(self, benchmark: Benchmark, item: Item) -> str:
        """Text of the user turn."""
        official = benchmark.prompt(item)
        instruction = instruction_text(self.form, _answer(item)) if self.form is not None else ""
        if self.form is None or not instruction:
            return official
        before = self.form.instruction_side is Side.BEFORE
        return self.form.between.join([instruction, official] if before else [official, instruction])

    def readable(self, response: str) -> str:
        """The response with its answer after a heading, where judges look for it."""
        place = self.form.answer if self.form is not None else AnswerPlace.HEADING
        if place is AnswerPlace.HEADING:
            return response
        found = find_answer(response, place)
        # Judges read after the heading only, so an answer from a box or a tag is put there and its chain is left out.
        return response if found is None else f"{ANSWER_HEADING}{STEP_SEPARATOR}{found}"


OFFICIALLY = Asking()


def asking(name: str, run_form: PromptForm | None = None) -> Asking:
    """What `--prompt` names: `auto` is the run's own form, else the official prompt alone. Raises InvalidInput."""
    if name == "auto":
        return OFFICIALLY if run_form is None else Asking(name="run", form=run_form)
    if name == OFFICIAL:
        return OFFICIALLY
    try:
        return Asking(name=name, form=PRESETS[PromptPreset(name)])
    except ValueError:
        known = ", ".join(("auto", OFFICIAL, *PromptPreset))
        raise InvalidInput(f"--prompt {name[:40]}: use one of {known}", field="prompt") from None


def _answer(item: Item) -> Answer:
    return Answer(
        type=AnswerType(item.kind),
        value=item.gold,
        choices=item.options,
        precision=item.precision,
        unit=item.unit or None,
    )
