"""What a service writes that sees a model, or cannot use it."""

import json

import pytest

from mstar.alignment import ServiceView
from mstar.errors import InvalidInput
from mstar_models.aligning import say


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidInput("model folder x holds no tokenizer: add tokenizer.json"), "model folder x holds no tokenizer"),
        (RuntimeError("index 474 is out of bounds\nTraceback"), "it cannot use this model: index 474 is out of"),
        (KeyError(), "it cannot use this model: KeyError"),
    ],
)
def test_whatever_a_folder_makes_a_library_raise_is_one_sentence(
    capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    def look() -> ServiceView:
        raise error

    say("policy", look)
    view = ServiceView.model_validate_json(capsys.readouterr().out.strip().splitlines()[-1])
    assert view.error is not None and view.error.startswith(said) and "\n" not in json.loads(json.dumps(view.error))
