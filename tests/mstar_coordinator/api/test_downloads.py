"""What a run leaves can be taken away whole, from any byte on, and checked; nothing else of the disk can."""

import hashlib
import io
import os
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator_bench import MemoryPublisher
from mstar.api.downloads import Part
from mstar.cli.download import download
from mstar.client import Client, Endpoint
from mstar.errors import CorruptArtefact, Internal, Unavailable
from mstar.http_json import Target
from mstar_coordinator.api.archives import ArchiveStream, Entry, archive
from mstar_coordinator.api.run_files import RunFiles
from pages_bench import client_of, start


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[httpx2.Client]:
    yield from client_of(home, MemoryPublisher())


@pytest.fixture(scope="module")
def run_id(client: httpx2.Client, home: Path) -> str:
    """A run with a policy of two files, as if it had been published."""
    made = start(client)
    folder = home / "runs" / made / "policy"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}\n")
    (folder / "deep" / "weights ä.safetensors").write_bytes(bytes(range(256)) * 1000)
    (folder / ".hidden").write_bytes(b"secret")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_bytes(b"secret")
    (folder / "link").symlink_to("/etc/hostname")
    (folder / "away").symlink_to(home / ".mstar")
    return made


def test_an_archive_holds_the_files_as_they_are(client: httpx2.Client, run_id: str) -> None:
    answer = client.get(f"/v1/runs/{run_id}/downloads/policy")
    assert answer.headers["content-type"] == "application/x-tar" and answer.headers["accept-ranges"] == "bytes"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as found:
        assert found.getnames() == [f"{run_id}/policy/config.json", f"{run_id}/policy/deep/weights ä.safetensors"]
        read = found.extractfile(found.getnames()[1])
        assert read is not None and read.read() == bytes(range(256)) * 1000


def test_every_part_is_listed_with_its_size(client: httpx2.Client, run_id: str) -> None:
    there = {
        one["part"]: (one["files"], one["bytes"]) for one in client.get(f"/v1/runs/{run_id}/downloads").json()["data"]
    }
    assert there["policy"] == (2, 256_003) and there["recipe"][0] == 1 and "prm" not in there
    assert there["all"][0] >= 3
    page = client.get(f"/runs/{run_id}").text
    assert f'href="/v1/runs/{run_id}/downloads/policy"' in page and "Models and data sets are here once" in page


@pytest.mark.parametrize(
    ("given_range", "status", "first", "last"),
    [
        ("bytes=0-0", 206, 0, 0),
        ("bytes=1000-", 206, 1000, None),
        ("bytes=-5", 206, -5, None),
        ("bytes=10-20", 206, 10, 20),
        ("bytes=0-99999999999", 206, 0, None),
        ("bytes=99999999-", 416, 0, 0),
        (f"bytes={10**19}-", 416, 0, 0),
        (f"bytes={'9' * 6000}-", 416, 0, 0),
        (f"bytes={10**19}-{10**20}", 416, 0, 0),
        (f"bytes=0-{10**19}", 206, 0, None),
        (f"bytes=-{10**19}", 206, 0, None),
        (f"bytes={'0' * 30}10-20", 206, 10, 20),
        ("Bytes=10-20", 206, 10, 20),
        ("bytes=-0", 416, 0, 0),
        ("bytes=20-10", 416, 0, 0),
        ("bytes=0-1,5-6", 200, 0, None),
        ("lines=1-2", 200, 0, None),
        ("bytes=-", 200, 0, None),
    ],
)
def test_a_range_is_that_part_of_the_whole(
    client: httpx2.Client, run_id: str, given_range: str, status: int, first: int, last: int | None
) -> None:
    path = f"/v1/runs/{run_id}/downloads/policy"
    whole = client.get(path).content
    answer = client.get(path, headers={"range": given_range})
    assert answer.status_code == status
    if status != 416:
        assert answer.content == whole[first : None if last is None else last + 1]
        assert int(answer.headers["content-length"]) == len(answer.content)
    else:
        assert answer.headers["content-range"] == f"bytes */{len(whole)}"


def test_a_range_of_what_has_changed_is_the_whole(client: httpx2.Client, run_id: str, home: Path) -> None:
    path = f"/v1/runs/{run_id}/downloads/policy/files/policy/config.json"
    tag = client.get(path).headers["etag"]
    asked = {"range": "bytes=1-", "if-range": tag}
    assert client.get(path, headers=asked).content == b"}\n"
    assert client.get(path, headers={"if-none-match": f'"other", W/{tag}'}).status_code == 304
    assert client.get(path, headers={"if-none-match": "*"}).status_code == 304
    for only, status in ((f'"other", {tag}', 200), ("*", 200), ('"other"', 412), (f"W/{tag}", 412)):
        assert client.get(path, headers={"if-match": only}).status_code == status
    (home / "runs" / run_id / "policy" / "config.json").write_bytes(b"[]\n")
    changed = client.get(path, headers=asked)
    assert (changed.status_code, changed.content) == (200, b"[]\n") and changed.headers["etag"] != tag


def test_a_file_of_any_name_comes_under_one_that_a_header_can_have(
    client: httpx2.Client, run_id: str, home: Path
) -> None:
    odd = home / "runs" / run_id / "policy" / 'Modell "模型".txt'
    odd.write_bytes(b"odd")
    answer = client.get(f"/v1/runs/{run_id}/downloads/policy/files/policy/{odd.name}")
    odd.unlink()
    assert answer.content == b"odd"
    assert answer.headers["content-disposition"] == f'attachment; filename="{run_id}-Modell ____.txt"'


def test_two_versions_of_a_file_never_become_one_archive(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"first")
    entry = Entry("weights", path, 5, path.stat().st_mtime_ns)
    stream = archive([entry], "r")
    path.write_bytes(b"other")
    os.utime(path, ns=(0, entry.mtime_ns + 1))
    with pytest.raises(Unavailable, match="weights has changed since the download began"):
        list(stream.read(0, stream.size - 1))


def test_a_file_that_a_run_rewrites_meanwhile_is_sent_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(b"first")
    # Rewritten between the look at it and the layout as well.
    stream = archive([Entry("results.json", path, 3, 1, rewritten=True)], "r")
    (tmp_path / "next").write_bytes(b"a longer one")
    (tmp_path / "next").replace(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream.read(0, stream.size - 1)))) as found:
        read = found.extractfile("r/results.json")
        assert read is not None and read.read() == b"first"
    path.unlink()
    with pytest.raises(Unavailable, match=r"results\.json is gone"):
        archive([Entry("results.json", path, 3, 1, rewritten=True)], "r")


def test_what_the_coordinator_rewrites_is_known_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    for name in ("recipe.yaml", "results.json", "report.html", "policy/results.json"):
        (tmp_path / name).write_text("{}")
    entries = RunFiles().entries(tmp_path, Part.ALL)
    assert {one.name for one in entries if one.rewritten} == {"recipe.yaml", "results.json", "report.html"}


def test_files_come_with_their_checksums(client: httpx2.Client, run_id: str) -> None:
    files = client.get(f"/v1/runs/{run_id}/downloads/policy/files").json()["data"]
    for one in files:
        sent = client.get(f"/v1/runs/{run_id}/downloads/policy/files/{one['name']}").content
        assert (len(sent), hashlib.sha256(sent).hexdigest()) == (one["bytes"], one["sha256"])
    assert len(files) == 2
    whole = client.get(f"/v1/runs/{run_id}/downloads/policy").content
    for one in files:
        found = whole[one["begin"] : one["begin"] + one["bytes"]]
        assert hashlib.sha256(found).hexdigest() == one["sha256"], "a place in the archive"


@pytest.mark.parametrize(
    "path",
    [
        "policy/files/policy/.hidden",
        "policy/files/policy/link",
        "policy/files/policy/.git/config",
        "policy/files/policy/away/mstar.sqlite",
        "policy/files/policy/deep",
        "policy/files/policy//config.json",
        "policy/files/policy/%2e%2fconfig.json",
        "policy/files/policy/config.json/",
        "policy/files/policy",
        "policy/files/policy/%00",
        "policy/files/policy/" + "x" * 300,
        "policy/files/recipe.yaml",
        "policy/files/..%2f..%2f.mstar%2fmstar.sqlite",
        "policy/files/%2fetc%2fpasswd",
        "prm",
        "prm/files",
    ],
)
def test_nothing_else_can_be_taken(client: httpx2.Client, run_id: str, path: str) -> None:
    assert client.get(f"/v1/runs/{run_id}/downloads/{path}").status_code == 404
    assert client.get(f"/v1/runs/r-none/downloads/{path}").status_code == 404
    assert client.get(f"/v1/runs/{run_id}/downloads/everything").status_code == 422


@given(sizes=st.lists(st.integers(0, 2000), min_size=1, max_size=4), ends=st.tuples(st.integers(0), st.integers(0)))
def test_any_stretch_of_an_archive_is_a_stretch_of_the_archive(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], ends: tuple[int, int]
) -> None:
    folder = tmp_path_factory.mktemp("stretch")
    entries = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}"
        path.write_bytes(os.urandom(size))
        os.utime(path, ns=(0, 10**18))
        entries.append(Entry(f"{'n' * 60 * number}{number}", path, size, 10**18))
    made = archive(entries, "r")
    whole = b"".join(made.read(0, made.size - 1))
    first, last = sorted(end % made.size for end in ends)
    assert len(whole) == made.size and b"".join(made.read(first, last)) == whole[first : last + 1]
    with tarfile.open(fileobj=io.BytesIO(whole)) as found:
        assert [member.size for member in found] == sizes


def test_the_archive_of_many_files_takes_little_memory_until_it_is_sent(tmp_path: Path) -> None:
    entries = [Entry(f"cot_dataset/images/{number:064x}.png", tmp_path / "one", 300, 10**18) for number in range(5000)]
    tracemalloc.start()
    made = archive(entries, "r-01m8en3zp7sbkh")
    taken, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert max(taken, peak) < 200 * len(entries)
    # Half a header in the middle, without any file being opened.
    begin = made.begins[2500]
    assert b"".join(made.read(begin - 600, begin - 1)) == made_head(made, 2500)[-600:]


def made_head(made: ArchiveStream, number: int) -> bytes:
    before = made.begins[number - 1] + 512
    return b"".join(made.read(before, made.begins[number] - 1))


def bring(client: httpx2.Client, run_id: str, out: Path, part: Part = Part.POLICY) -> tuple[int, int]:
    """Requests for files, and bytes, that it takes to have a part here."""
    asked: list[str] = []
    reported: list[int] = []

    class Noting(Client):
        def _pieces(self, target: Target, path: str, begin: int, end: int | None = None) -> Iterator[bytes]:
            asked.append(path)
            yield from super()._pieces(target, path, begin, end)

    with Noting(Endpoint(url=str(client.base_url))) as downloads:
        files = download(downloads, run_id, part, out, reported.append)
    assert sum(reported) == sum(one.bytes for one in files), "progress ends at the whole"
    return len(asked), sum(reported)


def test_a_download_goes_on_where_it_broke_off_and_is_checked(
    client: httpx2.Client, run_id: str, tmp_path: Path
) -> None:
    out = tmp_path / "taken"
    weights = out / "policy" / "deep" / "weights ä.safetensors"
    unfinished = weights.with_name(weights.name + ".part")
    assert (bring(client, run_id, out), bring(client, run_id, out)) == ((1, 256_003), (0, 256_003))
    for there in (weights.read_bytes()[:200_000], b"of another run" * 9, b"too long" * 10**5):
        weights.unlink()
        unfinished.write_bytes(there)
        bring(client, run_id, out)
        assert weights.read_bytes() == bytes(range(256)) * 1000 and not list(out.rglob("*.part"))
    weights.write_bytes(b"changed here")
    (out / "policy" / "config.json").unlink()
    assert bring(client, run_id, out)[0] == 1 and weights.read_bytes() == bytes(range(256)) * 1000


def test_only_what_is_lacking_of_a_file_is_asked_for(client: httpx2.Client, run_id: str, tmp_path: Path) -> None:
    ranges: list[str] = []

    def passed_on(request: httpx2.Request) -> httpx2.Response:
        ranges.append(request.headers.get("range", ""))
        answer = client.get(request.url.path, headers={"range": ranges[-1]})
        return httpx2.Response(answer.status_code, content=answer.content)

    folder = tmp_path / "policy" / "deep"
    folder.mkdir(parents=True)
    (folder / "weights ä.safetensors.part").write_bytes((bytes(range(256)) * 1000)[:200_000])
    with Client(Endpoint(url="http://runs"), httpx2.MockTransport(passed_on)) as downloads:
        begin = downloads.download_files(run_id, Part.POLICY).data[1].begin
        download(downloads, run_id, Part.POLICY, tmp_path, lambda _: None)
    assert ranges[-1] == f"bytes={begin + 200_000}-{begin + 255_999}" and len(ranges) == 4


def test_thousands_of_small_files_come_in_one_request(
    client: httpx2.Client, run_id: str, home: Path, tmp_path: Path
) -> None:
    pictures = home / "runs" / run_id / "cot_dataset" / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    for number in range(50):
        (pictures / f"{'n' * (number * 4)}{number}.png").write_bytes(bytes([number]) * number * 20)
    out = tmp_path / "taken"
    assert bring(client, run_id, out, Part.COT_DATASET)[0] == 1
    # Some are gone here, two in one place.
    for name in ("0.png", "nnnn1.png", f"{'n' * 80}20.png"):
        (out / "cot_dataset" / "images" / name).unlink()
    assert bring(client, run_id, out, Part.COT_DATASET)[0] == 2
    assert _contents(out / "cot_dataset") == _contents(pictures.parent)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_archive_that_breaks_off_or_has_moved_is_made_up_for(tmp_path: Path) -> None:
    whole = {f"cot_dataset/{number}": bytes([number]) * 1000 for number in range(9)}
    listed = [
        {"name": name, "bytes": 1000, "sha256": hashlib.sha256(data).hexdigest(), "begin": 512 + 1536 * number}
        for number, (name, data) in enumerate(whole.items())
    ]

    def answer(request: httpx2.Request) -> httpx2.Response:
        name = request.url.path.partition("/files/")[2]
        if name:
            first = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            return httpx2.Response(206 if first else 200, content=whole[name][first:])
        if request.url.path.endswith("/files"):
            return httpx2.Response(200, json={"data": listed})
        # The first two are right, the next has other bytes, the fifth is cut.
        archive = b"".join(data + bytes(536) for data in whole.values())
        return httpx2.Response(206, content=archive[:3072] + b"other" + archive[3077:6500])

    reported: list[int] = []
    with Client(Endpoint(url="http://runs"), httpx2.MockTransport(answer)) as downloads:
        download(downloads, "r-1", Part.COT_DATASET, tmp_path, reported.append)
    assert _contents(tmp_path) == whole and sum(reported) == 9000


def test_a_file_that_is_never_right_is_not_left_behind(tmp_path: Path) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/files"):
            file = {"name": "policy/x", "bytes": 3, "sha256": "0" * 64, "begin": 512}
            return httpx2.Response(200, json={"data": [file]})
        return httpx2.Response(200, content=b"abc")

    with Client(Endpoint(url="http://runs"), httpx2.MockTransport(answer)) as client, pytest.raises(CorruptArtefact):
        download(client, "r-1", Part.POLICY, tmp_path, lambda _: None)
    assert not list(tmp_path.rglob("x*"))


PROBLEM = {"type": "about:blank", "title": "Not Found", "status": 404, "code": "not-found", "detail": "no such file"}


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_was_rewritten_since_it_was_listed_is_taken_as_it_is_now(tmp_path: Path, gone: bool) -> None:
    lists: list[int] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/files"):
            return httpx2.Response(404, json=PROBLEM) if gone else httpx2.Response(200, content=b"later one")
        content = b"later one" if lists else b"first"
        lists.append(1)
        checksum = hashlib.sha256(content).hexdigest()
        file = {"name": "results.json", "bytes": len(content), "sha256": checksum, "begin": 512}
        return httpx2.Response(200, json={"data": [] if gone and len(lists) > 1 else [file]})

    with Client(Endpoint(url="http://runs"), httpx2.MockTransport(answer)) as client:
        found = download(client, "r-1", Part.ALL, tmp_path, lambda _: None)
    assert len(lists) == 2
    assert [one.bytes for one in found] == ([] if gone else [9])
    assert [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()] == ([] if gone else [b"later one"])


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\..\\x"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"data": [{"name": name, "bytes": 3, "sha256": "0" * 64, "begin": 512}]})

    with Client(Endpoint(url="http://runs"), httpx2.MockTransport(answer)) as client, pytest.raises(Internal):
        download(client, "r-1", Part.POLICY, tmp_path, lambda _: None)
