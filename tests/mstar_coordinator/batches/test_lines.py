"""Lines of batch files: what is refused, and where."""

import json
from pathlib import Path
from typing import Any

import pytest

from mstar.errors import InvalidInput
from mstar_coordinator.batches.lines import check_lines
from mstar_coordinator.batches.progress import BatchProgress


def line(**changed: Any) -> bytes:
    fields = {"custom_id": "a", "method": "POST", "url": "/v1/score", "body": {"question": "Why?"}}
    return json.dumps(fields | changed).encode() + b"\n"


def test_blank_lines_count_for_nothing() -> None:
    assert check_lines([line(), b"\n", b"  \r\n", line(custom_id="b").strip()], "/v1/score") == 2


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "no requests"),
        ([b"\n"], "no requests"),
        ([line(), b"\n", b"{"], "line 3: not valid JSON"),
        ([b"\xff\n"], "line 1"),
        ([b"[1]\n"], "line 1: not a request"),
        ([line(), line()], "line 2: custom_id 'a' stands on line 1"),
        ([line(custom_id="")], "line 1: custom_id"),
        ([line(custom_id=7)], "line 1: custom_id"),
        ([line(method="GET")], "line 1: method"),
        ([line(url="/internal/v1/weights")], "line 1: url"),
        ([line(url="/v1/rerank")], "line 1: url is /v1/rerank, and the batch is for /v1/score"),
        ([line(body="text")], "line 1: body"),
        ([line(more=1)], "line 1: more"),
        ([line().replace(b'"Why?"', b"9" * 5000)], "line 1"),
        ([line().replace(b'"Why?"', b"[" * 5000 + b"]" * 5000)], "line 1"),
        ([line().replace(b"Why?", rb"\ud800")], "line 1"),
        ([line().replace(b'"Why?"', b"[" + b"1," * 100_000 + b"1]")], "line 1: a line may hold at most 100000 values"),
        # What the PRM refuses in a request of its own must not become another request in a batch.
        ([line(), line().replace(b'"question"', b'"question": "Who?", "question"')], "line 2: .*duplicate"),
        ([line().replace(b'"Why?"', b"NaN")], "line 1: not valid JSON"),
        ([line().replace(b"Why?", rb"\u0000")], "line 1: body.question: .* NUL"),
    ],
)
def test_a_bad_line_is_named(lines: list[bytes], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as raised:
        check_lines(lines, "/v1/score")
    assert raised.value.field == "input_file_id"


def test_a_byte_order_mark_before_the_first_line_is_none_of_it() -> None:
    assert check_lines([b"\xef\xbb\xbf" + line(), line(custom_id="b")], "/v1/score") == 2


def test_a_line_that_a_crash_has_cut_off_is_done_again(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"".join(line(custom_id=one) for one in "abc"))
    with BatchProgress(tmp_path / "work", "b-1", source) as progress:
        for good in (True, False):
            assert progress.next() is not None
            progress.write({"text": "ü" * 70_000}, good=good)
    with progress.output.open("ab") as torn:
        torn.write(b'{"custom_id": "c"' + b"x" * 70_000)
    with BatchProgress(tmp_path / "work", "b-1", source) as progress:
        assert (progress.completed, progress.failed) == (1, 1)
        after = progress.next()
        assert after is not None and after.custom_id == "c"
        progress.write({"custom_id": "c"}, good=True)
        assert progress.next() is None
    assert [json.loads(one).get("custom_id") for one in progress.output.read_bytes().splitlines()] == [None, "c"]


def test_half_a_first_line_is_dropped(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(line())
    (tmp_path / "b-1.output").write_bytes(b'{"custom_id"')
    with BatchProgress(tmp_path, "b-1", source) as progress:
        assert progress.done == 0 and progress.next() is not None


def test_a_turn_reads_only_what_came_since_the_last_one(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"".join(line(custom_id=one) for one in "abcd"))
    with BatchProgress(tmp_path, "b-1", source) as progress:
        for _ in range(2):
            progress.next()
            progress.write({"id": 1}, good=True)
        # Read and not answered, as when the PRM is away.
        progress.next()
    for path, size in ((source, 2 * len(line(custom_id="a"))), (progress.output, progress.output.stat().st_size)):
        # Whoever reads from the start again counts these lines.
        path.write_bytes(b"\n" * size + path.read_bytes()[size:])
    with BatchProgress(tmp_path, "b-1", source) as progress:
        after = progress.next()
        assert progress.done == 2 and after is not None and after.custom_id == "c"


@pytest.mark.parametrize("note", [b"", b"{", b'{"output": 1000000}', b'{"offset": "x"}'])
def test_without_its_note_a_batch_is_read_from_the_start(tmp_path: Path, note: bytes) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"".join(line(custom_id=one) for one in "abc"))
    with BatchProgress(tmp_path, "b-1", source) as progress:
        progress.next()
        progress.write({"id": 1}, good=False)
    (tmp_path / "b-1.place").write_bytes(note)
    with BatchProgress(tmp_path, "b-1", source) as progress:
        after = progress.next()
        assert (progress.completed, progress.failed) == (0, 1) and after is not None and after.custom_id == "b"


def test_answers_behind_the_note_count_as_well(tmp_path: Path) -> None:
    """As after a crash: `write` has reached the disk, `close` was never called."""
    source = tmp_path / "in"
    source.write_bytes(b"".join(line(custom_id=one) for one in "abc"))
    with BatchProgress(tmp_path, "b-1", source) as progress:
        progress.next()
        progress.write({"id": 1}, good=True)
    with progress.output.open("ab") as later:
        later.write(b'{"id": 2}\n')
    with BatchProgress(tmp_path, "b-1", source) as progress:
        after = progress.next()
        assert progress.completed == 2 and after is not None and after.custom_id == "c"
