"""The setting that allows code from a folder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.trusted_code import TrustedCode, parse_trusted_code

DIGEST = f"sha256:{'0a' * 32}"


def test_entries_have_commas_between_them() -> None:
    found = parse_trusted_code(f"minicpmv=/models/a@{DIGEST}, phi3_v=/models/b b@{DIGEST},")
    assert found == {
        "minicpmv": TrustedCode("minicpmv", Path("/models/a"), DIGEST),
        "phi3_v": TrustedCode("phi3_v", Path("/models/b b"), DIGEST),
    }
    assert parse_trusted_code("") == {}


@pytest.mark.parametrize(
    "entry",
    [
        "/models/a",
        "minicpmv=/models/a",
        f"minicpmv=models/a@{DIGEST}",
        f"=/models/a@{DIGEST}",
        f"minicpmv=/models/a@{DIGEST}0",
        "minicpmv=/models/a@sha256:latest",
        f"minicpmv=https://host/a@{DIGEST}",
        "*",
    ],
)
def test_anything_else_is_refused_with_the_command_that_makes_an_entry(entry: str) -> None:
    with pytest.raises(ValueError, match=r"is not TYPE=/FOLDER@sha256:DIGEST; `python -m mstar_models.remote_code"):
        parse_trusted_code(entry)


@given(st.text(max_size=80))
def test_a_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_trusted_code(text)
    except ValueError:
        return
    assert all(code.folder.is_absolute() and len(code.digest) == 71 for code in found.values())
