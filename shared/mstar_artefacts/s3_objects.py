"""Objects in S3, or in anything that speaks its protocol, through fsspec: the one file that knows s3fs and its errors.

Credentials, region and certificates come from where the AWS tools find them: the environment, a profile, a role. None
is asked for here, and no message holds one, since only names of errors are quoted.
"""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import add_expect_header
from fsspec.asyn import sync
from s3fs import S3FileSystem
from s3fs.core import S3_RETRYABLE_ERRORS
from tenacity import Retrying, retry_if_exception, retry_if_exception_type, stop_after_attempt, wait_exponential

from mstar.errors import NotFound, StorageFull, Unavailable

ATTEMPTS = 3
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
SLOWEST = 1_000_000
"""Bytes a second. A slower upload is given up: no timeout of the library ends one to a peer that reads nothing."""
RETRY_AFTER_SECONDS = 10.0
CHUNK_BYTES = 16 * 1024**2
CHUNKS = 4
"""Parts of one file under way at once; each is in memory."""
TAKEN = ("PreconditionFailed", "412")
BUSY = ("ConditionalRequestConflict", "409")
"""Two writers create one key at the same instant. On the next try one of them is told that it is taken."""
UNCONDITIONAL = ("NotImplemented", "501")
"""From stores without conditional writes."""
FULL = ("QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "507")
LOCAL_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class S3Objects:
    """Implements `Objects` below `s3://bucket/prefix`. Thread-safe; nothing is opened before the first call."""

    def __init__(self, url: str, endpoint: str | None = None, read_seconds: float = READ_SECONDS) -> None:
        """`endpoint`: where a store that is not AWS's answers."""
        self._root = url.removeprefix("s3://").rstrip("/")
        self._endpoint = endpoint
        self._read_seconds = read_seconds
        self._lock = threading.Lock()
        self._opened: S3FileSystem | None = None

    def read(self, key: str) -> bytes:
        with self._translate_errors(key):
            # In parts it would first be asked for its size, and a missing bucket would look like a missing object.
            data: bytes = _AGAIN_WHEN_BROKEN(self._files().cat_file, self._path(key), max_concurrency=1)
        return data

    def create(self, key: str, data: bytes) -> bool:
        with self._translate_errors(key):
            try:
                # botocore retries what any request may meet; a conflict of two writers it hands on.
                _AGAIN_WHILE_BUSY(self._put, "_pipe_file", self._path(key), data, size=len(data), mode="create")
            except OSError as error:
                if _code(error) in TAKEN:
                    return False
                if _code(error) in UNCONDITIONAL:
                    return self._create_without_condition(key, data)
                raise
            return True

    def upload(self, path: Path, key: str) -> None:
        with self._translate_errors(key):
            self._put("_put_file", str(path), self._path(key), size=path.stat().st_size, chunksize=CHUNK_BYTES)

    def delete(self, key: str) -> None:
        with self._translate_errors(key):
            # S3 answers alike whether there was one or not; s3fs asks nothing before.
            self._files().rm_file(self._path(key))

    def download(self, key: str, path: Path) -> None:
        with self._translate_errors(key):
            _AGAIN_WHEN_BROKEN(self._files().get_file, self._path(key), str(path), chunksize=CHUNK_BYTES)

    def _create_without_condition(self, key: str, data: bytes) -> bool:
        """Between look and write another may come: both wrote what the same step makes, and the later one stays."""
        if self._files().exists(self._path(key)):
            return False
        self._put("_pipe_file", self._path(key), data, size=len(data))
        return True

    def _put(self, method: str, *args: object, size: int, **more: object) -> None:
        files = self._files()
        seconds = 2 * ATTEMPTS * self._read_seconds + size / SLOWEST
        sync(files.loop, getattr(files, method), *args, timeout=seconds, **more)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _files(self) -> Any:
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> S3FileSystem:
        options: dict[str, Any] = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": self._read_seconds,
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        }
        if self._endpoint is not None:
            # Newer checksums are refused by many stores that are not AWS's. Everything read is hashed here anyway.
            options |= {
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            }
        session = AioSession()
        # The wait for leave to send a body has no end where nothing answers; without it the timeouts hold.
        session.unregister("before-call.s3", add_expect_header)
        files = S3FileSystem(
            session=session,
            endpoint_url=self._endpoint,
            config_kwargs=options,
            max_concurrency=CHUNKS,
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        # Its own retries would come on top of those above, which know better what can be retried.
        files.retries = 1
        return files

    @contextmanager
    def _translate_errors(self, key: str) -> Iterator[None]:
        """Raise an error of `mstar.errors` for whatever the store or the disk refuses."""
        try:
            yield
        except (OSError, BotoCoreError, ClientError, *S3_RETRYABLE_ERRORS) as error:
            raise self._translated(error, key) from error

    def _translated(self, error: Exception, key: str) -> Exception:
        code, where = _code(error), f"s3://{self._root}"
        if code in FULL or getattr(error, "errno", None) in LOCAL_FULL:
            return StorageFull(f"no space left for {key} of {where}: make room there, then resume the run")
        if code == "NoSuchBucket":
            return Unavailable(f"the bucket of {where} does not exist: create it, or name another")
        if isinstance(error, FileNotFoundError):
            return NotFound(f"{key} is not in {where}")
        if isinstance(error, PermissionError):
            return Unavailable(
                f"{where} refuses access ({code or 'no permission'}): it takes credentials that may list the bucket "
                "and get, put and delete its objects"
            )
        reason = code or type(error).__name__
        return Unavailable(f"{where} does not answer as it should: {reason}", retry_after=RETRY_AFTER_SECONDS)


def _code(error: BaseException | None) -> str:
    """The store's own name of an error, such as NoSuchKey; empty for one that is not the store's."""
    while error is not None:
        if isinstance(error, ClientError):
            return str(error.response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""


# botocore's own retries end with the head of an answer; the connection may break in its body.
_AGAIN_WHEN_BROKEN = Retrying(
    retry=retry_if_exception_type(S3_RETRYABLE_ERRORS), stop=stop_after_attempt(ATTEMPTS), reraise=True
)
_AGAIN_WHILE_BUSY = Retrying(
    retry=retry_if_exception(lambda error: _code(error) in BUSY),
    wait=wait_exponential(multiplier=0.1),
    stop=stop_after_attempt(ATTEMPTS),
    reraise=True,
)
