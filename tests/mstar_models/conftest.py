"""One processor for all tests of the package."""

from typing import Any

import pytest

from minivista.architecture import make_processor


@pytest.fixture(scope="session")
def processor() -> Any:
    return make_processor()
