"""One S3 server for all tests here, a bucket for each, and the credentials where AWS tools look for them."""

from collections.abc import Iterator

import pytest

from s3_server import ACCESS, Bucket, s3_server


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(endpoint: str, access: None) -> Bucket:
    return Bucket(endpoint)
