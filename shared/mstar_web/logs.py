"""Logs as structured lines on standard error: JSON, or readable where a person watches. Secrets are removed.

The standard library's loggers (uvicorn's among them) go the same way.
"""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

from mstar import tracing
from mstar.api.keys import KEY_TEXT
from mstar.control_characters import PICTURES

_SECRET_KEY = re.compile(r"authorization|cookie|password|secret|_key$|token$", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"(?<=://)[^/\s@]*:[^/\s@]*(?=@)|(?<=[Bb]earer )[^\s\"']+|" + KEY_TEXT)
_HIDDEN = "[hidden]"
LINE_END = "\u240a"
"""U+240A, SYMBOL FOR LINE FEED."""


def configure_logs(service: str, level: int = logging.INFO) -> None:
    """Set up logging of the whole process; `service` stands in every line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
        _add_trace,
        # Before secrets are hidden, so that the texts of traces are searched too.
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    # Machines read JSON; a person at a terminal does not.
    readable = sys.stderr.isatty()
    readers = [_visible, structlog.dev.ConsoleRenderer()] if readable else [structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *readers],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)


def log_place() -> str:
    """Where this process's log lies, for those who look for it: the name of the file, without folders, if it is one."""
    try:
        path = Path(os.readlink(f"/proc/self/fd/{sys.stderr.fileno()}"))
    except (OSError, ValueError):
        return "the standard error of this service"
    return path.name if path.is_file() else "the standard error of this service"


def one_log() -> None:
    """Send what libraries log through handlers of their own through the process's instead.

    Call it after importing them.
    """
    for logger in list(logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger) and logger.handlers:
            logger.handlers.clear()
            logger.propagate = True


def hide_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values under secret-looking keys, passwords inside URLs and keys inside texts."""
    for key, value in event.items():
        if _SECRET_KEY.search(key):
            event[key] = _HIDDEN
        elif isinstance(value, str):
            event[key] = hidden(value)
    return event


def hidden(text: str) -> str:
    """A text without the passwords of its URLs, without bearer tokens and without keys of ours."""
    return _SECRET_TEXT.sub(_HIDDEN, text)


def _add_trace(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    place = tracing.here()
    if place is not None:
        event["trace_id"], event["span_id"] = f"{place.trace_id:032x}", f"{place.span_id:016x}"
    return event


def _visible(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Texts as a terminal may have them: callers wrote some. JSON escapes what this is about."""
    for key, value in event.items():
        if isinstance(value, str):
            # A trace has lines of its own; in anything else a new line would pass for one of ours.
            event[key] = (value if key == "exception" else value.replace("\n", LINE_END)).translate(PICTURES)
    return event


def _named(service: str) -> Any:
    def add(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add
