"""Archives that broke off, are damaged, or were made to do harm: as shards of samples, and beside the records."""

import gzip
import io
import json
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mstar_data.archives import Archives
from mstar_data.rows import read_rows
from mstar_data.summary import Summary
from mstar_data.zips import LARGEST_DIRECTORY, LARGEST_MEMBER, MOST_MEMBERS
from trusting_looks import TrustingLooks

CASES = Path(__file__).parents[1] / "cases" / "formats" / "imagefolder" / "train"
PNG, OTHER = (CASES / "0.png").read_bytes(), (CASES / "1.png").read_bytes()
Members = Sequence[tuple[str, bytes]]


def row(number: int, **more: object) -> bytes:
    return json.dumps({"question": f"q{number}", "answer": number, **more}).encode()


SAMPLES = [one for n in range(8) for one in ((f"{n}.png", PNG), (f"{n}.json", row(n)))]


def tarred(path: Path, members: Members = SAMPLES, mode: str = "w") -> bytearray:
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return bytearray(path.read_bytes())


def zipped(path: Path, members: Members = SAMPLES, method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return bytearray(path.read_bytes())


def records(folder: Path, *images: str) -> None:
    lines = (json.dumps({"question": image, "answer": 1, "image": image}) + "\n" for image in images)
    (folder / "all.jsonl").write_text("".join(lines))


def read(source: Path) -> tuple[int, list[str]]:
    """How many records can be used, and the problems of the others."""
    found = Summary()
    rows = list(read_rows(source, found, looks=TrustingLooks()))
    assert found.bad == len(found.problems)
    return len(rows), found.problems


def header(path: Path, place: int) -> int:
    """Where a member's header begins."""
    with tarfile.open(path) as tar:
        return tar.getmembers()[place].offset


@pytest.mark.parametrize(
    ("damage", "used", "said"),
    [
        (lambda data, at: data[: at + 700], 4, "unexpected end of data"),
        (lambda data, at: data[: at + 100], 3, "damaged: truncated header"),
        (lambda data, at: data[:at] + b"A" * 512 + data[at + 512 :], 3, "damaged: invalid header"),
    ],
    ids=["cut in a member", "cut in a header", "a header overwritten"],
)
def test_a_tar_that_breaks_off_gives_what_stands_before_and_is_named(
    tmp_path: Path, damage: Callable[[bytearray, int], bytearray], used: int, said: str
) -> None:
    data = tarred(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(damage(data, header(tmp_path / "a.tar", 8)))
    assert read(tmp_path) == (used, [f"a.tar is not a readable archive ({said})"])


def test_a_compressed_tar_that_breaks_off_or_fails_its_checksum_is_named(tmp_path: Path) -> None:
    data = tarred(tmp_path / "a.tar.gz", mode="w:gz")
    (tmp_path / "a.tar.gz").write_bytes(data[: len(data) - 30])
    assert "a.tar.gz is not a readable archive (Compressed file ended" in read(tmp_path)[1][-1]
    data[-8] ^= 1
    (tmp_path / "a.tar.gz").write_bytes(data)
    used, problems = read(tmp_path)
    assert used >= len(SAMPLES) // 2 - 1
    assert len(problems) == 1 and "CRC check failed" in problems[0]


def test_a_compressed_tar_does_not_unpack_without_end(tmp_path: Path) -> None:
    start = tarred(tmp_path / "a.tar", [("0.json", row(0))])[:1024]
    (tmp_path / "a.tar").unlink()
    large = tarfile.TarInfo("1.png")
    large.size = 300 * 2**20
    # Parts that are compressed one by one make a gzip file together (RFC 1952, section 2.2).
    packed = gzip.compress(bytes(start) + large.tobuf()) + gzip.compress(bytes(2**20)) * 301
    (tmp_path / "a.tar.gz").write_bytes(packed)
    assert (tmp_path / "a.tar.gz").stat().st_size < 2**20
    used, problems = read(tmp_path)
    assert used == 1
    assert problems[-1].startswith("a.tar.gz is not a readable archive (it unpacks to more than")


def test_a_header_is_not_read_whatever_its_size(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**32
    with (tmp_path / "a.tar").open("wb") as out:
        out.write(info.tobuf(tarfile.USTAR_FORMAT))
        out.truncate(2**32 + 1024)
    assert read(tmp_path) == (0, ["a.tar is not a readable archive (a header of 4096 MiB)"])


def test_a_member_that_is_too_large_costs_its_own_sample_only(tmp_path: Path) -> None:
    tarred(tmp_path / "a.tar", [("0.png", bytes(49 * 2**20)), ("0.json", row(0)), ("1.json", row(1))])
    assert read(tmp_path) == (1, ["a.tar sample 0: .png is larger than 48 MiB"])


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_sample_of_many_members_does_not_fill_the_memory(tmp_path: Path, name: str) -> None:
    zeros = bytes(LARGEST_MEMBER)
    members = [*((f"0.part{n}", zeros) for n in range(3)), ("0.json", row(0)), ("1.json", row(1))]
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for member, data in members:
                archive.writestr(member, data)
    else:
        with tarfile.open(tmp_path / name, "w:gz", compresslevel=1) as tar:
            for member, data in members:
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    assert read(tmp_path) == (1, [f"{name} sample 0: .part2 makes the sample larger than 96 MiB"])


def _overwritten(data: bytearray) -> bytearray:
    return data[:60] + b"\xff" * 20 + data[80:]


def _flagged(offset: int, value: int) -> Callable[[bytearray], bytearray]:
    """A change of the first member's flags or method, in its own header and in the directory's."""

    def change(data: bytearray) -> bytearray:
        data[offset] = value
        data[data.find(b"PK\x01\x02") + offset + 2] = value
        return data

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_overwritten, "0.png cannot be unpacked (Error -3 while decompressing data"),
        (_flagged(6, 1), "0.png is encrypted: unpack the archive with its password"),
        (_flagged(8, 99), "0.png cannot be unpacked (That compression method is not supported"),
    ],
    ids=["damaged", "encrypted", "unknown method"],
)
def test_a_member_of_a_zip_that_cannot_be_unpacked_costs_its_own_record_only(
    tmp_path: Path, damage: Callable[[bytearray], bytearray], said: str
) -> None:
    (tmp_path / "shards").mkdir()
    members = [("0.png", PNG * 50), ("0.json", row(0)), ("1.png", PNG), ("1.json", row(1))]
    (tmp_path / "shards" / "a.zip").write_bytes(damage(zipped(tmp_path / "shards" / "a.zip", members)))
    used, problems = read(tmp_path / "shards")
    assert used == 1 and problems[0].startswith(f"a.zip sample 0: {said}")
    (tmp_path / "beside").mkdir()
    shutil.copy(tmp_path / "shards" / "a.zip", tmp_path / "beside" / "images.zip")
    records(tmp_path / "beside", "0.png", "1.png")
    used, problems = read(tmp_path / "beside")
    assert used == 1 and problems[0].startswith(f"all.jsonl line 1: {said}")


def _end(directory: int, *, zip64: bool) -> bytes:
    """The end of a zip file whose list of members has this many bytes. The counts in it lie: it says one member."""
    plain = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 0xFFFFFFFF if zip64 else directory, 0, 0)
    if not zip64:
        return plain
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, directory, 0)
    return record + struct.pack("<4sLQL", b"PK\x06\x07", 0, directory, 1) + plain


@pytest.mark.parametrize("zip64", [False, True])
def test_a_zip_of_millions_of_empty_members_is_refused_before_they_are_in_memory(tmp_path: Path, zip64: bool) -> None:
    listed = (b"PK\x01\x02" + bytes(42)) * (MOST_MEMBERS + 1)
    (tmp_path / "images.zip").write_bytes(listed + _end(len(listed), zip64=zip64))
    records(tmp_path, "0.png")
    used, (problem,) = read(tmp_path)
    assert used == 0 and f"images.zip is not a readable archive (it has more than {MOST_MEMBERS} members" in problem


@pytest.mark.parametrize("zip64", [False, True])
def test_a_zip_with_a_huge_list_of_members_is_refused_before_it_is_read(tmp_path: Path, zip64: bool) -> None:
    with (tmp_path / "images.zip").open("wb") as file:
        file.truncate(LARGEST_DIRECTORY + 1)  # a hole, which takes no room on the disk
        file.seek(0, 2)
        file.write(_end(LARGEST_DIRECTORY + 1, zip64=zip64))
    records(tmp_path, "0.png")
    used, (problem,) = read(tmp_path)
    assert used == 0 and "images.zip is not a readable archive (its list of members is larger than 128 MiB" in problem


@pytest.mark.parametrize("name", ["images.zip", "images.tar"])
def test_pictures_that_a_broken_archive_may_hold_are_named_with_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04garbage" * 100)
    (tmp_path / "here.png").write_bytes(PNG)
    records(tmp_path, "here.png", "0.png", "1.png")
    used, problems = read(tmp_path)
    assert used == 1
    assert [problem.split(" (")[0] for problem in problems] == [
        f"all.jsonl line {line}: image {image} is not there; {name} is not a readable archive"
        for line, image in ((2, "0.png"), (3, "1.png"))
    ]


def test_a_sample_without_its_picture_takes_none_from_the_shard_beside_it(tmp_path: Path) -> None:
    tarred(tmp_path / "a.tar", [("0.png", PNG), ("0.json", row(0))])
    tarred(tmp_path / "b.tar", [("0.json", row(1, image="0.png")), ("1.png", OTHER), ("1.json", row(2))])
    (tmp_path / "0.png").write_bytes(PNG)
    assert read(tmp_path) == (2, ["b.tar sample 0: image 0.png is not there"])


def test_a_sample_may_name_a_member_of_its_own_shard(tmp_path: Path) -> None:
    tarred(tmp_path / "a.tar", [("pictures/x.png", OTHER), ("0.json", row(0, images=["pictures/x.png"]))])
    found = list(read_rows(tmp_path / "a.tar", Summary(), looks=TrustingLooks()))
    assert [one.images for one in found] == [(OTHER,)]


@pytest.mark.parametrize("name", ["../../evil.png", "/evil.png"])
def test_a_member_that_leads_out_of_the_archive_reaches_no_file(tmp_path: Path, name: str) -> None:
    source = tmp_path / "a" / "source"
    source.mkdir(parents=True)
    zipped(source / "images.zip", [(name, PNG)])
    (tmp_path / "evil.png").write_bytes(OTHER)
    records(source, name, "evil.png")
    used, problems = read(source)
    assert used == 0
    said = "lies outside of the data set's folder and of the data root: move it into one"
    assert problems[0] == f"all.jsonl line 1: image {name} {said}"
    assert "image evil.png is not there" in problems[1]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "all.jsonl", "evil.png", "images.zip", "source"]


def test_links_are_followed_inside_of_the_folder_only(tmp_path: Path) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    (source / "real").mkdir(parents=True)
    outside.mkdir()
    (source / "real" / "in.png").write_bytes(PNG)
    (source / "images").symlink_to("real")
    (outside / "out.png").write_bytes(OTHER)
    tarred(outside / "packed.tar", [("packed.png", OTHER)])
    (source / "away").symlink_to(outside)
    (source / "linked.tar").symlink_to(outside / "packed.tar")
    (source / "circle.png").symlink_to("circle.png")
    records(source, "in.png", "images/in.png", "away/out.png", "packed.png", "circle.png", f"{'x' * 300}.png")
    used, problems = read(source)
    assert used == 2
    assert problems[0].endswith(
        "image away/out.png lies outside of the data set's folder and of the data root: move it into one"
    )
    assert problems[1].endswith(
        "image packed.png is not there; linked.tar leads out of the data set's folder and of the data root"
    )
    assert problems[2].endswith("image circle.png cannot be read (links in a circle)")
    assert problems[3].endswith("xxx cannot be read (File name too long)")


def test_a_shard_behind_a_link_that_leads_out_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    tarred(tmp_path / "secret.tar")
    tarred(tmp_path / "source" / "own.tar", SAMPLES[:2])
    (tmp_path / "source" / "secret.tar").symlink_to(tmp_path / "secret.tar")
    assert read(tmp_path / "source") == (1, ["secret.tar leads out of the data set's folder and of the data root"])


def test_pictures_are_looked_for_anew_in_each_import(tmp_path: Path) -> None:
    tarred(tmp_path / "images.tar", [("0.png", PNG)])
    records(tmp_path, "0.png", "1.png")
    assert read(tmp_path) == (1, ["all.jsonl line 2: image 1.png is not there"])
    tarred(tmp_path / "images.tar", [("0.png", PNG), ("1.png", OTHER)])
    assert read(tmp_path) == (2, [])


def test_no_archive_has_no_member() -> None:
    with pytest.raises(ValueError, match=r"image 0\.png is not there"):
        Archives().read("0.png")
