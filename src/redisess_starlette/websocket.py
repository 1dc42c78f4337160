"""One WebSocket: its session is loaded at connect, stored at accept and at close, and its end closes the socket."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, cast

from starlette.websockets import WebSocket, WebSocketDisconnect

from redisess_core import RedisessError, SessionGone, SessionLimitReached, StoreUnavailable
from redisess_core.tokens import session_id_of
from redisess_core.web import asgi_headers
from redisess_starlette.answers import answer_to
from redisess_starlette.follower import Follower
from redisess_starlette.headers import say
from redisess_starlette.session import close_failed, end_unheard, exchange_for
from redisess_starlette.shield import to_its_end

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from redisess_starlette.session import StarletteExchange
    from redisess_starlette.state import State

SESSION_ENDED: Final = 4401
"""The code that a WebSocket is closed with when its session has ended."""

_POLICY_VIOLATION: Final = 1008  # both from the register of RFC 6455
_TRY_AGAIN_LATER: Final = 1013
_DENIALS: Final = "websocket.http.response"  # the ASGI extension by which a response answers the handshake
_log: Final = logging.getLogger("redisess")


async def serve_socket(app: ASGIApp, state: State, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket."""
    exchange = exchange_for(state, scope, asgi_headers(scope["headers"]))
    scope["session"] = exchange.session
    await _Socket(state, exchange, scope, receive, send).serve(app)


class _ClosedError(OSError):
    """The app sends where the socket was closed because its session has ended: as if the client had left."""


class _Socket:
    """One WebSocket under way."""

    def __init__(self, state: State, exchange: StarletteExchange, scope: Scope, receive: Receive, send: Send) -> None:
        self._state, self._exchange, self._session = state, exchange, exchange.session
        self._scope, self._receive, self._send = scope, receive, send
        self._accepted = self._closed = self._ended = False
        self._follower = Follower(exchange.session, state.watch(), self._end)
        exchange.follower = self._follower

    async def serve(self, app: ASGIApp) -> None:
        # Now, for a mounted app puts itself there; nothing is there where we are wrapped around an app by hand.
        self._app = self._scope.get("app", app)
        try:
            leaving = await self._run(app)
            await self._finish()
        except Exception as error:
            await close_failed(self._exchange)
            await self._follower.rest()
            if not isinstance(error, RedisessError):
                raise
            await self._answer(error)
        except BaseException:
            await close_failed(self._exchange)
            raise
        else:
            if leaving is not None and not self._ended:  # most apps leave it to the server that the client has left
                raise leaving
        finally:
            await to_its_end(self._leave())

    async def _run(self, app: ASGIApp) -> Exception | None:
        """Run the app, if the session could be opened; return what it raised because the client has left."""
        try:
            if await self._open():
                await app(self._scope, self.receive, self.send)
        except Exception as error:
            if _is_leaving(error):
                return error
            raise
        return None

    async def _leave(self) -> None:
        await end_unheard(self._exchange)
        await self._follower.stop()

    async def receive(self) -> Message:
        """Pass on what the client sends, but for what it sent before it knew that its session has ended."""
        message = await self._receive()
        if self._ended and message["type"] == "websocket.receive":
            return {"type": "websocket.disconnect", "code": SESSION_ENDED, "reason": ""}
        return message

    async def send(self, message: Message) -> None:
        """Pass on what the app sends; the session is stored before an accept, a close and a denial."""
        match message["type"]:
            case "websocket.accept":
                await self._accept(message)
            case "websocket.close":
                await self._finish()
                if not self._closed:
                    self._closed = True
                    await self._send(message)
            case "websocket.http.response.start":
                await self._store_the_last()
                self._closed = True
                say(self._state, self._exchange, message)
                await self._send(message)
            case "websocket.send":
                await self._pass_on(message)
            case _:
                await self._send(message)

    async def _pass_on(self, message: Message) -> None:
        if not self._ended:
            try:
                await self._send(message)
            except Exception:
                if not self._ended:
                    raise
            else:
                return
        raise _ClosedError("the session has ended")  # also where the close overtook this message, whatever servers say

    async def _open(self) -> bool:
        """Load the session, if there is one to load; return whether the app is to go on."""
        token = self._exchange.found.token
        if self._state.skips(self._scope):
            self._exchange.skip()
            return True
        if token is None:
            return True
        self._follower.follow(session_id_of(token))  # first, so that no end of it is missed
        try:
            await self._exchange.open()
        except StoreUnavailable as error:
            self._exchange.give_up()
            await self._answer(error)
            return False
        if self._session.current is None:
            self._follower.follow(None)
        else:
            self._follower.act()
        return True

    async def _accept(self, message: Message) -> None:
        self._exchange.accepted = True  # what another task asks for now comes too late for a cookie
        try:
            if self._session.opened:
                await to_its_end(self._session.save())
        except SessionGone:
            self._ended = True
        except BaseException:
            self._exchange.accepted = False
            raise
        say(self._state, self._exchange, message)
        await self._send(message)
        self._accepted = True
        if self._ended:  # a client knows the code of a close only after an accept
            await self._close(SESSION_ENDED)

    async def _finish(self) -> None:
        """Store what waits, at the end; not a new token, which can reach nobody where no socket was accepted."""
        session = self._session
        unheard = not self._accepted and (session.current is None or session.new_token is not None)
        await self._store_the_last(failed=unheard)

    async def _store_the_last(self, *, failed: bool = False) -> None:
        await self._follower.rest()  # first: a sign-out that waits is no end to close the socket for
        await self._exchange.finish(failed=failed)
        await self._follower.stop()

    async def _end(self) -> None:
        """Close the socket: its session has ended."""
        self._ended = True
        if self._accepted:
            await self._close(SESSION_ENDED)

    async def _close(self, code: int) -> None:
        if not self._closed:
            self._closed = True
            try:
                await self._send({"type": "websocket.close", "code": code, "reason": ""})
            except Exception:  # noqa: BLE001  the client has left: servers say that in many ways
                _log.debug("a WebSocket was closed already", exc_info=True)

    async def _answer(self, error: RedisessError) -> None:
        """Answer the handshake as a request would be; an accepted socket is closed."""
        code = _code_of(error)
        if self._accepted or self._closed:
            if code is None:
                raise error
            if isinstance(error, StoreUnavailable):
                _log.error("closed with %d: %s", code, error)
            await self._close(code)
            return
        socket = WebSocket(self._scope, self._receive, self._send)
        response = await answer_to(error, socket, (self._scope.get("app"), self._app))
        if response is not None and _DENIALS in self._scope.get("extensions", {}):
            await response(self._scope, self._receive, self._send)
        elif response is not None:
            await self._close(code or _POLICY_VIOLATION)


def _is_leaving(error: Exception) -> bool:
    """Whether all that an app raised is that the client has left, or was made to: tasks raise it in groups."""
    if isinstance(error, ExceptionGroup):
        return all(map(_is_leaving, cast("ExceptionGroup[Exception]", error).exceptions))
    return isinstance(error, (WebSocketDisconnect, _ClosedError))


def _code_of(error: RedisessError) -> int | None:
    match error:
        case StoreUnavailable():
            return _TRY_AGAIN_LATER
        case SessionGone():
            return SESSION_ENDED
        case SessionLimitReached():
            return _POLICY_VIOLATION
        case _:
            return None  # the program's own error
