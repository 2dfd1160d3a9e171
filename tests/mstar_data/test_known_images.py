"""What images look like is remembered by content, across processes and torn lines."""

from pathlib import Path

from mstar_data.known_images import RULES, KnownImages
from mstar_data.looks import Fingerprint

LOOK = Fingerprint("ab" * 32, 2**255 + 7, bytes(range(48)))


def test_what_was_found_out_is_known_to_the_next(tmp_path: Path) -> None:
    first = KnownImages(tmp_path)
    assert first.get(LOOK.sha256) is None
    first.put(LOOK.sha256, LOOK)
    first.put("ab" + "00" * 31, "the image data is damaged")
    assert first.get(LOOK.sha256) == LOOK
    other = KnownImages(tmp_path)
    assert other.get(LOOK.sha256) == LOOK and other.get("ab" + "00" * 31) == "the image data is damaged"
    assert other.get("cd" * 32) is None


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    KnownImages(tmp_path).put("ab" + "00" * 31, "no picture")
    path = tmp_path / RULES / "ab.jsonl"
    path.write_bytes(path.read_bytes() + b'{"sha256": "ab')
    KnownImages(tmp_path).put(LOOK.sha256, LOOK)
    known = KnownImages(tmp_path)
    assert known.get(LOOK.sha256) == LOOK and known.get("ab" + "00" * 31) == "no picture"
