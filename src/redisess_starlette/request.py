"""One HTTP request: its session is opened before the app sees it, and closed before the first byte of the response."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request

from redisess_core import RedisessError, StoreUnavailable
from redisess_core.web import asgi_headers, refusal_of
from redisess_starlette.answers import answer_to, handler_of
from redisess_starlette.headers import say
from redisess_starlette.session import close_failed, end_unheard, exchange_for
from redisess_starlette.static import is_static

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from redisess_starlette.session import StarletteExchange
    from redisess_starlette.state import State

_ERROR: Final = 500
_log: Final = logging.getLogger("redisess")


async def serve_request(app: ASGIApp, state: State, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request."""
    exchange = exchange_for(state, scope, asgi_headers(scope["headers"]))
    scope["session"] = exchange.session
    await _Request(state, exchange, scope, receive, send).serve(app)


class _Request:
    """One request under way."""

    __slots__ = ("_answered", "_answering", "_app", "_exchange", "_receive", "_scope", "_send", "_started", "_state")

    def __init__(self, state: State, exchange: StarletteExchange, scope: Scope, receive: Receive, send: Send) -> None:
        self._state, self._exchange = state, exchange
        self._scope, self._receive, self._send = scope, receive, send
        self._started = self._answering = self._answered = False

    async def serve(self, app: ASGIApp) -> None:
        # Now, for a mounted app puts itself there; nothing is there where we are wrapped around an app by hand.
        self._app = self._scope.get("app", app)
        try:
            await self._open()
            await app(self._scope, self._receive, self.send)
        except Exception as error:
            if self._answered:  # what the app then said of the error that was answered
                return
            await close_failed(self._exchange)
            if self._started or not isinstance(error, RedisessError):
                raise
            await self._answer(error)
        except BaseException:
            await close_failed(self._exchange)
            raise
        else:
            if not self._started:
                await close_failed(self._exchange)
        finally:
            await end_unheard(self._exchange)

    async def _open(self) -> None:
        """Open the session, if there is one to open; what answers that this failed can use it: it is empty."""
        exchange = self._exchange
        if self._state.skips(self._scope):
            exchange.skip()
            return
        if exchange.found.token is None or is_static(self._app, self._scope):
            return
        try:
            await exchange.open()
        except RedisessError:
            exchange.give_up()
            raise

    async def send(self, message: Message) -> None:
        """Pass on what the app answers; the session is stored before the first of it."""
        if self._answered:
            return
        if message["type"] == "http.response.start" and not self._started:
            await self._store(message["status"])
            self._started = True
            say(self._state, self._exchange, message)
        await self._send(message)

    async def _store(self, status: int) -> None:
        """Store what waits, before a response of this status; if that fails, answer it instead, and raise."""
        failure = None if self._answering else _failure_below()
        if failure is not None:
            await close_failed(self._exchange)
            if isinstance(failure, RedisessError) and self._has_answer(failure):
                await self._answer(failure)
                raise failure  # the app need not go on; serve() knows
            return
        try:
            await self._exchange.finish()
        except Exception as error:
            if isinstance(error, StoreUnavailable) and status >= _ERROR:
                _log.error("answered with %d: %s", status, error)  # which says as much
                return
            await self._answer(error)
            raise  # likewise

    def _has_answer(self, error: RedisessError) -> bool:
        return refusal_of(error) is not None or handler_of(self._app, error) is not None

    async def _answer(self, error: Exception) -> None:
        """Send the response to *error*, where none has begun; raises *error* if nobody has one."""
        self._answering = True
        request = Request(self._scope, self._receive)
        response = await answer_to(error, request, (self._scope.get("app"), self._app))
        if response is not None:
            await response(self._scope, self._receive, self.send)
        self._answered = True


def _failure_below() -> BaseException | None:
    """Return what was raised by an app below us, where that is what Starlette now answers, with 500.

    What does so for an app stands outside of its middleware: below us if the app is mounted in another, or if we are
    wrapped around it by hand. It answers while it handles the error, whose traceback begins with it then.
    """
    error = sys.exc_info()[1]
    traceback = None if error is None else error.__traceback__
    answers = traceback is not None and traceback.tb_frame.f_code is ServerErrorMiddleware.__call__.__code__
    return error if answers else None
