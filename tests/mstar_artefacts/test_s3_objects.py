"""S3 as an object store: whole objects, conditional ones, and every failure as one of the project's errors."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handler_server import HandlerServer, QuietHandler
from mstar.errors import NotFound, StorageFull, Unavailable
from mstar_artefacts.s3_objects import CHUNK_BYTES, S3Objects
from s3_server import Bucket


def objects(bucket: Bucket) -> S3Objects:
    return S3Objects(bucket.url, bucket.endpoint)


def test_what_was_put_comes_back(bucket: Bucket, tmp_path: Path) -> None:
    store = objects(bucket)
    assert store.create("a/small", b"few")
    assert store.read("a/small") == b"few"
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(bytes(range(256)) * (CHUNK_BYTES // 256 * 2 + 1))
    for name in ("empty", "large"):
        store.upload(tmp_path / name, f"b/{name}")
        store.download(f"b/{name}", tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == (tmp_path / name).read_bytes()
    assert bucket.names() == ["a/small", "b/empty", "b/large"]


def test_of_writers_at_once_one_creates_and_the_others_are_told(bucket: Bucket) -> None:
    store, told = objects(bucket), []
    barrier = threading.Barrier(6)

    def write(number: int) -> None:
        barrier.wait()
        told.append((store.create("key", str(number).encode()), number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [number for created, number in told if created]
    assert store.read("key") == str(winner).encode()
    assert len(told) == 6


def test_what_is_not_there_is_named(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="some/key"):
        objects(bucket).read("some/key")
    with pytest.raises(NotFound, match="some/key"):
        objects(bucket).download("some/key", tmp_path / "x")


def test_a_missing_bucket_is_no_missing_object(bucket: Bucket, tmp_path: Path) -> None:
    store = S3Objects("s3://b-nobody-made-this/x", bucket.endpoint)
    with pytest.raises(Unavailable, match="create it"):
        store.read("key")
    with pytest.raises(Unavailable, match="create it"):
        store.create("key", b"x")
    with pytest.raises(Unavailable, match="create it"):
        store.download("key", tmp_path / "x")


def test_without_credentials_nothing_is_asked(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Unavailable, match="NoCredentials"):
        S3Objects("s3://b/x", endpoint).read("key")


def test_a_store_that_is_down_is_unavailable_and_no_secret_is_said(access: None) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        store = S3Objects("s3://b/x", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(Unavailable) as caught:
            store.read("key")
    assert caught.value.retry_after
    assert "EndpointConnectionError" in caught.value.detail
    assert "hunter2" not in caught.value.detail


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_given_up(access: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 10_000_000)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = S3Objects("s3://b/x", f"http://127.0.0.1:{silent.getsockname()[1]}", read_seconds=0.05)
        with pytest.raises(Unavailable, match="does not answer"):
            store.read("key")
        with pytest.raises(Unavailable, match="does not answer"):
            store.create("key", b"x")
        # More than lies between two sockets: here it is the sending that has no end.
        with pytest.raises(Unavailable, match="does not answer"):
            store.upload(tmp_path / "file", "key")


def test_a_full_local_disk_is_no_trouble_of_the_store(bucket: Bucket) -> None:
    bucket.put("key", b"x" * 100_000)
    with pytest.raises(StorageFull):
        objects(bucket).download("key", Path("/dev/full"))


def refusal(status: int, code: str) -> tuple[int, bytes, int]:
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    return status, body, len(body)


OK = (200, b"", 0)
BROKEN = (200, b"half", 8)
"""An answer that ends before its length."""


@contextmanager
def answering(*answers: tuple[int, bytes, int]) -> Iterator[tuple[S3Objects, list[str]]]:
    """A store that gives these answers in turn, and what it was asked; the last of them for good."""
    left, asked = list(answers), []

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            condition = self.headers.get("If-None-Match", "")
            asked.append(f"{self.command} {condition}".strip())
            self.body()
            status, body, length = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_PUT = do_HEAD = do_GET

    with HandlerServer(Handler) as server:
        yield S3Objects("s3://b/x", server.url), asked


def test_an_answer_that_breaks_off_is_asked_for_again(access: None, tmp_path: Path) -> None:
    with answering(BROKEN, (200, b"all of it", 9)) as (store, asked):
        assert store.read("key") == b"all of it"
        assert len(asked) == 2
    with answering(BROKEN, (200, b"all of it", 9)) as (store, _):
        store.download("key", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == b"all of it"
    with answering(BROKEN) as (store, asked), pytest.raises(Unavailable):
        store.read("key")
    assert len(asked) == 3


def test_a_write_that_meets_another_is_asked_for_again(access: None) -> None:
    with answering(refusal(409, "ConditionalRequestConflict"), refusal(412, "PreconditionFailed")) as (store, asked):
        assert not store.create("key", b"x")
    assert asked == ["PUT *"] * 2


def test_a_store_without_conditional_writes_is_looked_into_first(access: None) -> None:
    unknown = refusal(501, "NotImplemented")
    with answering(unknown, OK) as (store, asked):
        assert not store.create("key", b"x")
    assert asked == ["PUT *", "HEAD"]
    nothing = (200, b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>", 59)
    with answering(unknown, refusal(404, "NoSuchKey"), nothing, OK) as (store, asked):
        assert store.create("key", b"x")
    assert asked == ["PUT *", "HEAD", "GET", "PUT"]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refusal(403, "AccessDenied"), Unavailable, "refuses access.*AccessDenied"),
        (refusal(403, "InvalidAccessKeyId"), Unavailable, "refuses access.*InvalidAccessKeyId"),
        (refusal(507, "XMinioStorageFull"), StorageFull, "make room"),
        (refusal(400, "Whatever"), Unavailable, "Whatever"),
        (refusal(500, "InternalError"), Unavailable, "InternalError"),
    ],
)
def test_every_refusal_is_an_error_of_the_project(
    access: None, tmp_path: Path, answer: tuple[int, bytes, int], kind: type[Exception], words: str
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with answering(answer) as (store, _):
        for act in (lambda: store.create("key", b"x"), lambda: store.upload(tmp_path / "file", "key")):
            with pytest.raises(kind, match=words):
                act()
