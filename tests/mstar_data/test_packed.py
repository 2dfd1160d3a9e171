"""Archives and compressed text: shards of samples, images in archives, and what unpacks without end."""

import gzip
import io
import json
import lzma
import re
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow
import pytest

from mstar.errors import InvalidDataset
from mstar_data.importing import import_source
from mstar_data.rows import read_rows
from mstar_data.summary import Summary
from source_bench import OTHER, PNG, rows, write
from trusting_looks import TrustingLooks


def packed(path: Path, members: Mapping[str, bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("name", ["shard-000000.tar", "shard-000000.tar.gz", "shard.zip"])
@pytest.mark.parametrize("whole", [True, False])
def test_webdataset_shards_are_read(tmp_path: Path, name: str, whole: bool) -> None:
    record = json.dumps({"question": "How many?", "answer": "3"}).encode()
    packed(tmp_path / name, {"a/0001.png": PNG, "a/0001.json": record, "a/0002.png": OTHER, "a/0002.json": record})
    found = rows(tmp_path if whole else tmp_path / name)
    assert [row.columns["id"] for row in found] == ["a/0001", "a/0002"]
    assert [row.images for row in found] == [(PNG,), (OTHER,)]


@pytest.mark.parametrize("name", ["data_images.zip", "data_images.tar"])
@pytest.mark.parametrize("inner", ["TabMWP/0.png", "data_images/TabMWP/0.png"])
def test_images_are_found_in_archives_beside_the_records(tmp_path: Path, name: str, inner: str) -> None:
    packed(tmp_path / name, {inner: OTHER})
    write(tmp_path, [{"image": "TabMWP/0.png", "question": "q", "answer": 1}])
    assert rows(tmp_path)[0].images == (OTHER,)


def test_a_damaged_or_compressed_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "shard.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(InvalidDataset, match=r"shard\.tar is not a readable archive"):
        import_source(tmp_path / "shard.tar", tmp_path / "set")
    (tmp_path / "shard.tar").unlink()
    packed(tmp_path / "images.tar.gz", {"0001.png": PNG})
    source = tmp_path / "train.jsonl"
    source.write_text(json.dumps({"image": "0001.png", "question": "q", "answer": 1}))
    with pytest.raises(InvalidDataset, match="compressed tar"):
        import_source(tmp_path, tmp_path / "set")


@pytest.mark.parametrize(
    ("name", "tool"), [("b.parquet.gz", "gunzip"), ("b.arrow.bz2", "bunzip2"), ("b.Parquet.zst", "unzstd")]
)
def test_a_compressed_table_is_never_left_out_in_silence(tmp_path: Path, name: str, tool: str) -> None:
    write(tmp_path, [{"image": "0.png", "question": "q", "answer": 1}], "a.jsonl")
    (tmp_path / name).write_bytes(b"packed")
    for source in (tmp_path, tmp_path / name):
        with pytest.raises(InvalidDataset, match=f"is compressed: unpack it first .{tool}"):
            import_source(source, tmp_path / "set")


PACKERS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def packed_text(text: str, ending: str) -> bytes:
    """The text in a format by its ending."""
    if ending == ".xz":
        return lzma.compress(text.encode())
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, PACKERS[ending]) as stream:
        stream.write(text.encode())
    return bytes(sink.getvalue())


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize(
    ("name", "split"), [("train.jsonl", "train"), ("val.json", "validation"), ("TEST.csv", "test_id")]
)
def test_compressed_text_is_read_as_it_unpacks(tmp_path: Path, ending: str, name: str, split: str) -> None:
    records = [{"image": "0.png", "question": f"q{n}", "answer": n} for n in range(500)]
    table = "\n".join(["image,question,answer", *(f"0.png,q{n},{n}" for n in range(500))])
    lines = "".join(json.dumps(one) + "\n" for one in records)
    text = {".jsonl": lines, ".json": json.dumps(records), ".csv": table}[Path(name).suffix]
    (tmp_path / "0.png").write_bytes(PNG)
    (tmp_path / f"{name}{ending}").write_bytes(packed_text(text, ending))
    for source in (tmp_path, tmp_path / f"{name}{ending}"):
        found = list(read_rows(source, Summary(), looks=TrustingLooks()))
        assert [row.columns["answer"] for row in found] == [str(n) for n in range(500)]
        assert {row.split for row in found} == {split}
    whole = (tmp_path / f"{name}{ending}").read_bytes()
    (tmp_path / f"{name}{ending}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidDataset, match=re.escape(f"{name}{ending}")):
        import_source(tmp_path, tmp_path / "set", looks=TrustingLooks())


def test_a_small_file_that_would_unpack_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl.gz").write_bytes(gzip.compress((b" " * (2**20 - 1) + b"\n") * 300))
    with pytest.raises(InvalidDataset, match="unpacks to more than"):
        import_source(tmp_path, tmp_path / "set", looks=TrustingLooks())


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", b"\0" * (49 * 2**20))
    (tmp_path / "train.jsonl").write_text(json.dumps({"image": "0.png", "question": "q", "answer": 1}))
    with pytest.raises(InvalidDataset, match="larger than 48 MiB"):
        import_source(tmp_path, tmp_path / "set")


def test_a_sample_of_a_shard_may_have_texts_and_several_pictures_as_members(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for member, data in (("0.0.png", PNG), ("0.1.png", OTHER), ("0.question.txt", b"q"), ("0.answer.txt", b"1")):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (row,) = read_rows(tmp_path, Summary(), looks=TrustingLooks())
    assert (row.columns["question"], row.columns["answer"], row.images) == ("q", "1", (PNG, OTHER))


def test_a_member_that_is_a_link_or_unpacks_to_much_costs_its_own_sample_only(tmp_path: Path) -> None:
    row = b'{"question": "q", "answer": 1}'
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("0.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for member, data in (("0.json", row), ("1.png", PNG), ("1.json", row)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("0.png", bytes(50 * 2**20))
        packed.writestr("0.json", row)
        packed.writestr("1.json", row)
    for archive, said in (("a.tar", "is a link, which is not followed"), ("b.zip", "is larger than 48 MiB")):
        found = Summary()
        assert len(list(read_rows(tmp_path / archive, found, looks=TrustingLooks()))) == 1
        assert found.bad == 1 and said in found.problems[0]
