"""Lines of batch files: what is asked, and what is answered, in the shape of OpenAI's Batch API. No I/O of its own."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mstar.api.batches import MAX_LINES, CustomId, Endpoint
from mstar.errors import InvalidInput, MstarError
from mstar_web.bodies import BodyBound, check_json, holds_more

MAX_LINE_BYTES = 32 * 2**20
"""What the PRM takes as the body of a request."""
MAX_LINE_VALUES = BodyBound().values
"""The same for its values."""


class RequestLine(BaseModel):
    """One request of a batch. Its body is read by the PRM, whose refusal spoils this line only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    custom_id: CustomId
    method: Literal["POST"]
    url: Endpoint
    body: dict[str, Any]

    @property
    def payload(self) -> bytes:
        """The body as it is sent."""
        return json.dumps(self.body, ensure_ascii=False).encode()


def read_line(line: bytes, number: int) -> RequestLine:
    """The request on a line; `number` counts from 1. Raises InvalidInput naming line and member."""
    where = f"line {number}"
    if len(line) > MAX_LINE_BYTES:
        raise InvalidInput(f"{where}: a line may have at most {MAX_LINE_BYTES} bytes", field="input_file_id")
    if number == 1:
        # Editors on Windows put a byte order mark there.
        line = line.removeprefix(BOM_UTF8)
    # Before it is parsed, which of millions takes gigabytes.
    if holds_more(line, MAX_LINE_VALUES):
        detail = f"{where}: a line may hold at most {MAX_LINE_VALUES} values: send fewer responses in one request"
        raise InvalidInput(detail, field="input_file_id")
    try:
        # As a request that comes by itself: of a key given twice the first would be lost without a word.
        check_json(line)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error.detail}", field="input_file_id") from None
    try:
        # The body stays a dictionary: the PRM checks it when its turn comes, by its own rules.
        return RequestLine.model_validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "not a request"
        raise InvalidInput(f"{where}: {place}: {first['msg']}"[:500], field="input_file_id") from None


def check_lines(lines: Iterable[bytes], endpoint: str) -> int:
    """How many requests there are; blank lines count for nothing.

    Raises InvalidInput for the first line that is not a request, asks for another route than the batch, or has the
    `custom_id` of an earlier one.
    """
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = read_line(line, number)
        if found.url != endpoint:
            detail = f"line {number}: url is {found.url}, and the batch is for {endpoint}: make a batch for each"
            raise InvalidInput(detail, field="input_file_id")
        if found.custom_id in seen:
            detail = f"line {number}: custom_id {found.custom_id!r} stands on line {seen[found.custom_id]} already"
            raise InvalidInput(detail, field="input_file_id")
        seen[found.custom_id] = number
        # Looked at for every line, so that `seen` cannot grow without bound.
        if len(seen) > MAX_LINES:
            raise InvalidInput(f"a batch may have at most {MAX_LINES} lines: split it", field="input_file_id")
    if not seen:
        raise InvalidInput("the file has no requests: send a line for each", field="input_file_id")
    return len(seen)


def answer_line(batch_id: str, place: int, custom_id: str, status: int, body: Any) -> dict[str, Any]:
    """What the PRM answered. `place` counts requests from 0."""
    name = _name(batch_id, place)
    response = {"status_code": status, "request_id": name, "body": body}
    return {"id": name, "custom_id": custom_id, "response": response, "error": None}


def error_line(batch_id: str, place: int, custom_id: str, code: str, message: str) -> dict[str, Any]:
    """Why there is no answer."""
    error = {"code": code, "message": message}
    return {"id": _name(batch_id, place), "custom_id": custom_id, "response": None, "error": error}


def failed_line(batch_id: str, place: int, custom_id: str, error: MstarError) -> dict[str, Any]:
    """As `error_line`, of an error."""
    return error_line(batch_id, place, custom_id, error.code, error.detail)


def _name(batch_id: str, place: int) -> str:
    return f"{batch_id}-{place}"
