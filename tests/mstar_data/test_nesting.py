"""JSON nested too deeply is refused before a parser holds its paths, wherever chunks of the file end."""

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar_data.bounds import bounds_of
from mstar_data.nesting import MAX_DEPTH, ShallowFile
from mstar_data.record import BadRecord
from mstar_data.sources import rows_of

LETTERS = st.text('[]{}"\\\\a/:,é', max_size=8)
VALUES = st.recursive(
    LETTERS | st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LETTERS, inner, max_size=3)
)


def wrapped(value: Any, levels: int) -> bytes:
    return b'{"]": [' * levels + json.dumps(value, ensure_ascii=False).encode() + b"]}" * levels


def read_in(file: ShallowFile, size: int) -> bytes:
    return b"".join(iter(lambda: file.read(size), b""))


@given(VALUES, st.integers(1, 9))
def test_the_depth_is_that_of_the_json_in_chunks_of_any_size(value: Any, size: int) -> None:
    def depth(one: Any) -> int:
        inner = one.values() if isinstance(one, dict) else one
        return 1 + max(map(depth, inner), default=0) if isinstance(one, dict | list) else 0

    fits = (MAX_DEPTH - depth(value)) // 2
    text = wrapped(value, fits)
    assert read_in(ShallowFile(io.BytesIO(text)), size) == text
    with pytest.raises(BadRecord, match="more than 64 levels"):
        read_in(ShallowFile(io.BytesIO(wrapped(value, fits + 1))), size)


@pytest.mark.parametrize(
    "begin", [b"[", b'{"a":', b'[{"conversations": [{"from": "human", "value": ', b'{"a": 1, "b": ']
)
def test_a_deep_source_is_a_record_that_cannot_be_used_and_takes_no_memory(tmp_path: Path, begin: bytes) -> None:
    file = tmp_path / "deep.json"
    file.write_bytes(begin + b"[" * 3000 + b"]" * 3000)
    tracemalloc.start()
    try:
        rows = list(rows_of(file, bounds_of(tmp_path)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(rows[-1][1], BadRecord) and "deep.json: nested more than 64 levels deep" in str(rows[-1][1])
    assert peak < 4_000_000


def test_an_unclosed_string_of_quotes_takes_no_time() -> None:
    text = b'["' + rb"\"" * 500_000
    assert read_in(ShallowFile(io.BytesIO(text)), 65536) == text


def test_what_a_parser_says_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('[{"question":')
    ((_, bad),) = rows_of(tmp_path / "cut.json", bounds_of(tmp_path))
    assert str(bad) == "cut.json: not valid JSON (parse error: premature EOF)"
