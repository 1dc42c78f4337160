"""One HTTP request: its session is opened before the app sees it, and closed before the first byte of the response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import CancelScope
from starlette.requests import Request

from redisess_core import RedisessError
from redisess_core.web import asgi_headers
from redisess_starlette.answers import answer_to
from redisess_starlette.headers import say
from redisess_starlette.session import close_failed, exchange_for
from redisess_starlette.static import is_static

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from redisess_starlette.session import StarletteExchange
    from redisess_starlette.state import State


async def serve_request(app: ASGIApp, state: State, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request."""
    exchange = exchange_for(state, scope, asgi_headers(scope["headers"]))
    scope["session"] = exchange.session
    await _Request(state, exchange, scope, receive, send).serve(app)


class _Request:
    """One request under way."""

    __slots__ = ("_answered", "_app", "_exchange", "_receive", "_scope", "_send", "_started", "_state")

    def __init__(self, state: State, exchange: StarletteExchange, scope: Scope, receive: Receive, send: Send) -> None:
        self._state, self._exchange = state, exchange
        self._scope, self._receive, self._send = scope, receive, send
        self._started = self._answered = False

    async def serve(self, app: ASGIApp) -> None:
        # Now, for a mounted app puts itself there; nothing is there where we are wrapped around an app by hand.
        self._app = self._scope.get("app", app)
        try:
            await self._open()
            await app(self._scope, self._receive, self.send)
        except Exception as error:
            if self._answered:  # what the app then said of the error that was answered
                return
            await self._fail()
            if self._started or not isinstance(error, RedisessError):
                raise
            await self._answer(error)
        except BaseException:
            await self._fail()
            raise
        else:
            if not self._started:
                await self._fail()

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

    async def _fail(self) -> None:
        """Carry out a sign-out of a request that failed, and nothing else; also of one that was cancelled."""
        with CancelScope(shield=True):
            await close_failed(self._exchange)

    async def send(self, message: Message) -> None:
        """Pass on what the app answers; the session is stored before the first of it."""
        if self._answered:
            return
        if message["type"] == "http.response.start" and not self._started:
            try:
                with CancelScope(shield=True):  # the client may have left: what it asked for is stored all the same
                    await self._exchange.close()
            except Exception as error:
                await self._answer(error)
                self._answered = True
                raise  # the app need not go on; serve() knows
            self._started = True
            say(self._state, self._exchange, message)
        await self._send(message)

    async def _answer(self, error: Exception) -> None:
        """Send the response to *error*, where none has begun; raises *error* if nobody has one."""
        request = Request(self._scope, self._receive)
        response = await answer_to(error, request, self._app)
        if response is not None:
            await response(self._scope, self._receive, self.send)
