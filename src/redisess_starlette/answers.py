"""What is answered where an error of redisess reaches no view: by the app's own handlers, else by a status code."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from redisess_core import SessionGone, SessionLimitReached, StoreUnavailable
from redisess_starlette.state import challenge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import HTTPConnection

_RETRY_AFTER: Final = "5"  # seconds that a client is asked to wait while Redis is away
_log: Final = logging.getLogger("redisess")


async def answer_to(error: Exception, connection: HTTPConnection, app: Any) -> Response | None:
    """Return the response to *error*: the app's for it or for a broader one, else for its status code, else our own.

    None where the app's handler did all that it wanted (with a WebSocket). Raises *error* if nobody has an answer.
    """
    handlers: Mapping[Any, Callable[..., Any]] = getattr(app, "exception_handlers", {})
    for kind in type(error).__mro__:
        if kind is Exception:  # what handles that answers with 500 what is the program's own error
            break
        if kind in handlers:
            return await _handled(handlers[kind], connection, error)
    said = _status_of(error)
    if said is None:
        raise error
    if isinstance(error, StoreUnavailable):
        _log.error("answered with 503: %s", error)
    handler = handlers.get(said.status_code) or handlers.get(HTTPException)
    if handler is not None:
        return await _handled(handler, connection, said)
    return PlainTextResponse(said.detail, said.status_code, said.headers)


def _status_of(error: Exception) -> HTTPException | None:
    match error:
        case StoreUnavailable():
            return HTTPException(503, "The session store cannot be reached.", {"Retry-After": _RETRY_AFTER})
        case SessionLimitReached():
            return HTTPException(403, "There are as many sessions of this user as are allowed.")
        case SessionGone():
            return HTTPException(401, "This session has ended.", challenge())
        case _:
            return None


async def _handled(handler: Callable[..., Any], connection: HTTPConnection, error: Exception) -> Response | None:
    if inspect.iscoroutinefunction(handler):
        answer: Any = await handler(connection, error)
    else:
        answer = await run_in_threadpool(handler, connection, error)
        if inspect.isawaitable(answer):  # of an object that is called asynchronously
            answer = await answer
    return cast("Response | None", answer)
