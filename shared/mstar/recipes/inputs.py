"""What a run starts from: its questions, its base model, and what all sampling shares."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from mstar.answers.records import ChoiceForm
from mstar.data_check import Drop
from mstar.misfit import Misfit
from mstar.split_shares import require_shares
from mstar.types import Frozen

MAX_QUESTIONS = 10_000_000
MAX_PIXELS = 100_000_000


class DataRecipe(Frozen):
    """Which questions a run sees."""

    source: str = Field(default="builtin:minivista", min_length=1, max_length=1024)
    """`builtin:minivista`, `builtin:minivista-study`, a folder with one sub-folder per split (metadata.jsonl and
    images), or any file or folder that `mstar data import` reads; it is then imported once."""
    mapping: str | None = Field(default=None, min_length=1, max_length=1024)
    """Mapping file for an imported source: its columns, types, splits and filters."""
    split: dict[str, float] = Field(default={}, max_length=32)
    """Share of an imported source's records for each split; unset: the source's own splits."""
    first_index: int = Field(default=0, ge=0, le=1)
    """Number of the first option in an imported source whose options are numbered."""
    answers: ChoiceForm | None = None
    """How an imported source gives the right option; unset: any form that is unambiguous."""
    train: int = Field(default=6000, ge=1, le=MAX_QUESTIONS)
    """Questions of the training split that the run may use."""
    validation: int = Field(default=250, ge=1, le=MAX_QUESTIONS)
    """Questions on which temperatures are compared and Pass@K is measured."""
    test_id: int = Field(default=750, ge=1, le=MAX_QUESTIONS)
    """Test questions like those of training."""
    test_ood: int = Field(default=500, ge=0, le=MAX_QUESTIONS)
    """Test questions unlike those of training; 0 for none."""
    unlabelled: int = Field(default=0, ge=0, le=MAX_QUESTIONS)
    """Questions of the split `unlabelled` that the run may use; their answers, if they have any, stay hidden."""
    skip_bad: bool = False
    """Leave out unusable records, and list counts and reasons in the results; with `false` the run is refused."""
    drop: tuple[Drop, ...] = ()
    """Duplicates to leave out: `repeated` in the same split, `shared` with another split, `near` for a picture that
    looks the same, `overlap` for a picture that a test shows, `overlap-question` for picture and question of a test."""

    @field_validator("split")
    @classmethod
    def _shared_out(cls, split: dict[str, float]) -> dict[str, float]:
        require_shares(split)
        return split

    @model_validator(mode="after")
    def _one_rule_for_mapped(self) -> Self:
        # The mapping file has both settings, and neither of two values would be the obvious one.
        twice = [name for name in self.imports if name in ("first_index", "answers")] if self.mapping else []
        if twice:
            raise Misfit(twice[0], "stands in the mapping file where data.mapping names one: write it there")
        if self.imports and self.source.startswith("builtin:"):
            raise Misfit(self.imports[0], f"is for a source of your own, and {self.source} needs none: leave it out")
        return self

    @property
    def imports(self) -> tuple[str, ...]:
        """Fields that say how a source is imported, as far as they are set."""
        return tuple(name for name in ("mapping", "split", "first_index", "answers") if getattr(self, name))


class ModelRecipe(Frozen):
    """Which base model a run starts from."""

    base: str = Field(default="builtin:minivista", min_length=1, max_length=1024)
    """`builtin:minivista`, `builtin:minivista-study`, or a local folder in Hugging Face layout with safetensors."""
    min_pixels: int | None = Field(default=None, ge=1, le=MAX_PIXELS)
    """Smaller images are scaled up to this many pixels; unset, the model's own bound. For models such as Qwen2.5-VL."""
    max_pixels: int | None = Field(default=None, ge=1, le=MAX_PIXELS)
    """Larger images are scaled down to this many pixels, which bounds the tokens of an image."""

    @model_validator(mode="after")
    def _rising_bounds(self) -> Self:
        if self.min_pixels is not None and self.max_pixels is not None and self.min_pixels > self.max_pixels:
            raise Misfit("max_pixels", f"{self.max_pixels} is below min_pixels, which is {self.min_pixels}: raise it")
        return self


class GenerationRecipe(Frozen):
    """What all sampling shares."""

    max_tokens: int = Field(default=512, ge=1, le=32_768)
    """Maximum number of tokens of a response; a truncated response is never kept."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling; 1 samples from all tokens."""
    least_solved: float = Field(default=0.01, ge=0, le=1)
    """The run stops, with counts, if fewer than this share of a stage's training questions get a response to keep.
    Checked from 256 questions on, or at the end of the stage; 0 for never."""
    shard_questions: int = Field(default=32, ge=1, le=512)
    """Questions per rollout shard: the unit that is leased, retried and streamed."""
