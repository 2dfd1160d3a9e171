"""How a model folder says what kind of process reward model (PRM) it holds, and what each kind needs to know.

A PRM reads the score of a step at one token, but published ones differ in which token that is and in what is read
there. A folder is recognised by its architecture and vocabulary where those are telling; else `prm_scheme.json` beside
`config.json` declares the scheme. What this leaves out: reading files, tokens and tensors (`mstar_prm.schemes`).
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from mstar.errors import InvalidInput
from mstar.layout import STEP_SEPARATOR, Separator
from mstar.types import Frozen

DECLARATION = "prm_scheme.json"
"""File of a model folder that declares its scheme."""
OWN_LABELS = ("<good>", "<bad>")
"""Label tokens that only a PRM's vocabulary has; a folder with both needs no declaration."""
HEADS = ("score", "classifier", "v_head.summary", "v_head", "value_head", "reward_head")
"""What published checkpoints call their head for steps."""
_VISUALPRM = """\
You are an advanced AI assistant, designed to serve as a process supervision model. In this task, I will provide a \
problem statement followed by the first step of the solution process. For each subsequent turn, I will give you a new \
step in the solution. Your role is to assess whether the solution process is correct up to the current step.

- In the **first round**, I will input the problem and the first step of the solution process.
- In **each subsequent round**, I will provide the next step in the solution.

For each step, you should:

- Respond with **"+"** if you believe the solution process is correct up to this step.
- Respond with **"-"** if you detect any issues or errors in the process up to this step.

Please note:
- Only respond with **"+"** or **"-"**. Do not provide any additional explanations, comments, or justifications.

Your task is to verify the accuracy and correctness of each step in the given solution process."""
"""System prompt that VisualPRM (arXiv 2503.10291) was trained with."""

Text = Annotated[str, Field(max_length=8192)]
Token = Annotated[str, Field(min_length=1, max_length=64)]
"""A token, or the text of a few."""


class _Declared(Frozen):
    """What every scheme may say of the text before the first step."""

    system: Text | None = None
    """Text of a system turn; unset, there is none. `{system}` in it stands for that of the run. Without the mark the
    recipe's is left out, since the PRM was trained with this text."""
    user: Text = "{image}{question}"
    """The user turn, with the marks `{image}` and `{question}`. Where it ends in `{steps}`, the steps follow in the
    same turn; else they are the assistant's."""
    plain: Text | None = None
    """For models without a chat template: all text before the first step, with the mark `{question}`."""
    step_separator: Separator = STEP_SEPARATOR
    """Where a response that comes as one text is cut into steps, unless its request says so; by default a blank line.
    `label-tokens` without a `step_tag` also reads it after each step."""

    @model_validator(mode="after")
    def _marked(self) -> "_Declared":
        for name, text in (("user", self.user), ("plain", self.plain)):
            if text is not None and text.count("{question}") != 1:
                raise ValueError(f"{name} must have the mark {{question}} once")
        if self.user.count("{image}") > 1 or "{steps}" in self.user.removesuffix("{steps}"):
            raise ValueError("user may have the mark {image} once, and {steps} at its end only")
        return self

    @property
    def steps_of_user(self) -> bool:
        """Whether the steps stand in the user's turn."""
        return self.user.endswith("{steps}")


class LabelTokens(_Declared):
    """Two label tokens; a step's score is the probability of the good one against the bad one at the step's end."""

    scheme: Literal["label-tokens"] = "label-tokens"
    good: Token = OWN_LABELS[0]
    bad: Token = OWN_LABELS[1]
    """The labels, each a single token."""
    step_tag: Text | None = None
    """Text after each step, at whose last token the labels are read (Math-Shepherd: ` ки`). Unset, they are read at
    the step's own last token, the `step_separator` after it included, as our trainer makes PRMs."""
    separator: Text = "\n"
    """Between a step's tag and the next step."""


class StepToken(_Declared):
    """A head with two classes for every token, read at a token after each step (Qwen2.5-Math-PRM)."""

    scheme: Literal["step-token"] = "step-token"
    step_tag: Token = "<extra_0>"
    """Text after each step, at whose last token the head is read."""
    separator: Text = ""
    """Between a step's tag and the next step."""
    good_class: Literal[0, 1] = 1
    """The class that means a correct step."""


class ValueHead(_Declared):
    """A head with one number for every token; its sigmoid is the score of the step before the tag (URSA-RM)."""

    scheme: Literal["value-head"] = "value-head"
    step_tag: Token = " и"
    """Text after each step, at whose last token the head is read."""
    separator: Text = "\n"
    """Between a step's tag and the next step."""


class Turns(_Declared):
    """A conversation in which the user sends step after step and the model answers `+` or `-` (VisualPRM).

    The score is the probability of the good answer against the bad one. Steps before count as answered with the good.
    """

    scheme: Literal["turns"] = "turns"
    good: Token = "+"
    bad: Token = "-"
    system: Text | None = _VISUALPRM
    user: Text = "### Question:\n{image}\n{question}\n\n### Solution Process:\n{steps}"

    @model_validator(mode="after")
    def _first_step(self) -> "Turns":
        if not self.steps_of_user or self.plain is not None:
            raise ValueError("user must end in {steps}, where the first step stands, and plain must be unset")
        return self


PrmScheme = LabelTokens | StepToken | ValueHead | Turns
_ADAPTER = TypeAdapter[PrmScheme](Annotated[PrmScheme, Field(discriminator="scheme")])

KNOWN: dict[str, PrmScheme] = {
    "Qwen2ForProcessRewardModel": StepToken(
        system="Please reason step by step, and put your final answer within \\boxed{}."
    ),
    "UrsaForTokenClassification": ValueHead(
        system="You are a helpful assistant.",
        user="{image}You are given a problem and a step-by-step solution. You need to check the correctness of each "
        "step.\nQuestion:{question}\n{steps}",
    ),
}
"""Architectures, as `config.json` names them, whose scheme is known without a declaration."""
OWN = LabelTokens()
"""PRMs that this project trains on a base with label tokens of its own."""


def scheme_of(
    folder: str, config: Mapping[str, Any], declared: Any, vocabulary: Collection[str], field: str
) -> PrmScheme:
    """The scheme of a model folder. Raises InvalidInput, which names the file and the fix.

    `config`: `config.json`. `declared`: what `prm_scheme.json` holds, None where there is none. `vocabulary`: all
    tokens. `field`: of the caller's request, to be named in an error.
    """
    # The declaration goes first: its author knows more than an architecture's name tells.
    if declared is not None:
        return _parsed(folder, declared, field)
    architectures = config.get("architectures")
    names = architectures if isinstance(architectures, list) else []
    known = next((KNOWN[name] for name in names if isinstance(name, str) and name in KNOWN), None)
    if known is not None:
        return known
    # Ours are vision-language models; a text model may have tokens of these names for something else.
    if "vision_config" in config and all(label in vocabulary for label in OWN_LABELS):
        return OWN
    said = f"config.json names {str(names[0])[:64]}" if names else "config.json names no architecture"
    raise InvalidInput(
        f"{folder} does not say how a step is scored: {said}, which fits several schemes; add {DECLARATION} with "
        '{"scheme": "label-tokens" | "step-token" | "value-head" | "turns"} and its settings, as docs/prm-schemes.md '
        "lists them",
        field=field,
    )


def is_head(tensor: str) -> bool:
    """Whether a tensor of this name belongs to a head for steps."""
    return head_name(tensor) is not None


def head_name(tensor: str) -> tuple[str, str] | None:
    """The head that a tensor belongs to, and the tensor's name within it; None for one of the trunk."""
    inner = tensor.removeprefix("model.")
    found = next((name for name in HEADS if inner.startswith(f"{name}.")), None)
    return None if found is None else (found, inner.removeprefix(f"{found}."))


def own_scheme(vocabulary: Collection[str], step_separator: str = STEP_SEPARATOR) -> LabelTokens:
    """The scheme of a PRM that this project trains on a base with this vocabulary. Raises InvalidInput."""
    # `+` and `-` are single tokens of most vocabularies, so a base needs no new embeddings.
    for good, bad in (OWN_LABELS, ("+", "-")):
        if good in vocabulary and bad in vocabulary:
            return LabelTokens(good=good, bad=bad, step_separator=step_separator)
    raise InvalidInput(
        "the tokenizer has no labels for a PRM: add <good> and <bad>, or + and -, as single tokens", field="model"
    )


def declaration(scheme: LabelTokens) -> str:
    """What the folder of a PRM that this project trains declares, as JSON."""
    # A blank line is not said, so that an older version reads the declaration too.
    separator = {"step_separator"} if scheme.step_separator != STEP_SEPARATOR else set()
    return scheme.model_dump_json(include={"scheme", "good", "bad"} | separator, indent=2)


def _parsed(folder: str, declared: Any, field: str) -> PrmScheme:
    try:
        return _ADAPTER.validate_python(declared)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "scheme"
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{folder} has a {DECLARATION} with a bad {where}: {message}", field=field) from None
