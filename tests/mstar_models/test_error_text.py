"""The line that an error of another library becomes."""

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from mstar_models.error_text import SAID, sentence_of


class Engine(BaseModel):
    model: str

    @field_validator("model")
    @classmethod
    def known(cls, value: str) -> str:
        raise ValueError(f"no engine runs {value}")


def test_a_validation_error_is_told_with_its_reason() -> None:
    with pytest.raises(ValidationError) as raised:
        Engine(model="qwen")
    assert sentence_of(raised.value) == "Value error, no engine runs qwen"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("lm_head"), "KeyError 'lm_head'"),
        (ValueError("field size:\n  must be positive\n  more"), "field size: must be positive"),
        (RuntimeError("a b " * 400), "a b " * (SAID // 4) + " …"),
        (RuntimeError(), "RuntimeError"),
        (ImportError("It needs torchvision. Check out the instructions on the\npage: here"), "It needs torchvision."),
        (ValueError("v. 2 of the file cannot be read.\nSee there"), "v. 2 of the file cannot be read."),
    ],
)
def test_other_errors_are_their_first_line(error: Exception, said: str) -> None:
    assert sentence_of(error) == said
