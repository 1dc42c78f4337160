"""What is answered where an error of redisess reaches no view: by the app's own handlers, else by a status code."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from redisess_core import StoreUnavailable
from redisess_core.web import refusal_of
from redisess_starlette.state import challenge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import HTTPConnection

    from redisess_core.web import Refusal

_UNAUTHORIZED: Final = 401
_log: Final = logging.getLogger("redisess")


def handler_of(app: Any, error: Exception) -> Callable[..., Any] | None:
    """Return what *app* answers *error* with, or a broader one; not all errors: those are the program's own."""
    handlers = _handlers(app)
    for kind in type(error).__mro__:
        if kind is Exception:
            break
        if kind in handlers:
            return handlers[kind]
    return None


async def answer_to(error: Exception, connection: HTTPConnection, apps: Sequence[Any]) -> Response | None:
    """Return the response to *error*: an app's for it or for a broader one, else for its status code, else our own.

    Of two apps the first, which is mounted in the other, is asked first. None where a handler did all that it wanted
    (with a WebSocket). Raises *error* if nobody has an answer.
    """
    for app in apps:
        if (handler := handler_of(app, error)) is not None:
            return await _handled(handler, connection, error)
    refusal = refusal_of(error)
    if refusal is None:
        raise error
    if isinstance(error, StoreUnavailable):
        _log.error("answered with 503: %s", error)
    said = _http_error(refusal)
    for handlers in map(_handlers, apps):
        if (handler := handlers.get(said.status_code) or handlers.get(HTTPException)) is not None:
            return await _handled(handler, connection, said)
    return PlainTextResponse(said.detail, said.status_code, said.headers)


def _http_error(refusal: Refusal) -> HTTPException:
    headers = challenge() if refusal.status == _UNAUTHORIZED else {}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    return HTTPException(refusal.status, refusal.detail, headers)


def _handlers(app: Any) -> Mapping[Any, Callable[..., Any]]:
    return getattr(app, "exception_handlers", {})


async def _handled(handler: Callable[..., Any], connection: HTTPConnection, error: Exception) -> Response | None:
    if inspect.iscoroutinefunction(handler):
        answer: Any = await handler(connection, error)
    else:
        answer = await run_in_threadpool(handler, connection, error)
        if inspect.isawaitable(answer):  # of an object that is called asynchronously
            answer = await answer
    return cast("Response | None", answer)
