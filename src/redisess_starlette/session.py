"""`request.session` and `websocket.session`, and the exchange behind each."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

import anyio

from redisess_core import RedisessError, SessionGone
from redisess_core.loops import running_loop
from redisess_core.operation import Awaiting
from redisess_core.steps import nothing
from redisess_core.web import CookieChange, Exchange, Found, Source, TransportName
from redisess_core.web.request_session import RequestSessionMethods
from redisess_starlette.shield import to_its_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Scope

    from redisess_core.config import UserId
    from redisess_core.operation import Plan, Steps
    from redisess_core.record import Changes
    from redisess_core.session_state import SessionState
    from redisess_core.web import CookiePolicy
    from redisess_core.web.transport import HeaderValues
    from redisess_starlette.follower import Follower
    from redisess_starlette.state import State


T = TypeVar("T")

_DICT: Final[Any] = dict  # whose methods are untyped where nobody says of what it is one
_log: Final = logging.getLogger("redisess")


class StarletteSession(RequestSessionMethods, Awaiting, dict[str, Any]):  # type: ignore[misc]  # a mapping comes before the dict
    """The session of a request or a WebSocket: a mapping of session data, with `user_id`, `login`, `save` and the rest.

    It is a dict, as Starlette's own is: what reads past its methods, such as encoders written in C, finds the data too.
    """

    exchange: StarletteExchange
    _handed_out = False

    def mark_accessed(self) -> None:
        """Note that it was asked for: Starlette calls this for each `request.session`."""
        self.accessed = True
        if not self._handed_out:
            self._handed_out = True
            self._fill()

    def begin(self, current: SessionState | None = None, *, leaving: bool = False) -> None:
        """Start from what is stored, with nothing wanted yet; *leaving* it: from nothing, where it is to end."""
        super().begin(current, leaving=leaving)
        self._fill()

    def go_on(self, current: SessionState, changes: Changes) -> None:
        """Go on from *current*, where all that was wanted is stored now."""
        super().go_on(current, changes)
        self._fill()
        if self.exchange.follower is not None:
            self.exchange.follower.go_on(current)

    def go_on_without(self, changes: Changes | None = None) -> None:
        """Go on from nothing: the session has ended, by *changes* of data if so, since which others were made."""
        super().go_on_without(None if self.exchange.accepted else changes)  # a cookie could follow no other session
        self._fill()

    @staticmethod
    def _running(plan: Callable[..., Plan[Any]]) -> Callable[..., Any]:
        async def method(self: StarletteSession, *args: Any, **kwargs: Any) -> Any:
            return await self.exchange.in_turn(partial(plan, self, *args, **kwargs))

        return method

    def drop_changes(self, changes: Changes) -> None:
        """Forget changes of data that were refused."""
        super().drop_changes(changes)
        self._fill()

    def __setitem__(self, key: str, value: Any) -> None:
        if self.sign_in is None and (self.current is None or self.leaving) and not self.exchange.by_header:
            self._need_cookie("write")
        super().__setitem__(key, value)
        _DICT.__setitem__(self, key, value)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        _DICT.pop(self, key, None)

    def _fill(self) -> None:
        """Put the data where a dict has it; a value that only another framework's process can read stays out."""
        if not self._handed_out:
            return
        _DICT.clear(self)
        for key in self._data.keys():  # noqa: SIM118  no dict
            try:
                _DICT.__setitem__(self, key, self._data.get(key))
            except RedisessError:
                continue

    def may_want(self) -> bool:
        """Whether something may have to be stored: `modified` knows, which takes longer."""
        return bool(self._data.may_differ or self.sign_in or self.new_token or self.leaving or self.rolls())

    def default_ttl(self) -> float | None:
        """Return the ttl of a session that begins here; None: the manager's."""
        state = self.exchange.state
        return None if state.owns_manager or state.max_age is None else state.max_age

    def rolls(self) -> bool:
        """Whether the session's cookie is sent again with every response."""
        return self.exchange.state.rolling and not self.exchange.accepted

    def login(
        self, user_id: UserId, *, ttl: float | None = None, transport: TransportName | None = None, **fields: Any
    ) -> None:
        """Sign *user_id* in: a new token, always; the session becomes that user's.

        What an anonymous session held is kept (a cart), what another user's held is dropped. *ttl* in seconds (None:
        as it was; of a new session, as configured); *transport* "header" for a client that reads `token` and gets no
        cookie: the only one that a WebSocket takes after its accept. Raises `TypeError` for an undeclared field.
        """
        if transport == "cookie" or (transport is None and not self.exchange.by_header):
            self._need_cookie("login")
        super().login(user_id, ttl=ttl, transport=transport, **fields)

    def rotate(self) -> None:
        """Give the session a new token and id; the old one is dead at once. Nothing where nothing is stored."""
        if self.current is not None and not self.exchange.by_header:
            self._need_cookie("rotate")
        super().rotate()

    def _need_cookie(self, what: Literal["login", "rotate", "write"]) -> None:
        if self.exchange.accepted:
            begins = "; a session begins with it" if what == "write" else '; login(..., transport="header") needs none'
            raise RuntimeError(f"{what} in a WebSocket after its accept: no cookie can be sent any more{begins}")


class StarletteExchange(Exchange[StarletteSession], Awaiting):
    """The exchange of a request or a WebSocket."""

    accepted = False  # a WebSocket, past the moment when a cookie could be sent
    follower: Follower | None = None  # a WebSocket's

    def __init__(self, state: State, scope: Scope, headers: HeaderValues) -> None:
        self.state = state
        self._loop = running_loop()
        self._turn = anyio.Lock() if self._loop is None else asyncio.Lock()  # which costs a tenth
        client, agents = scope.get("client"), headers("user-agent")
        super().__init__(
            state.manager,
            self._find(state, headers),
            StarletteSession,
            ip=client[0] if client else None,
            user_agent=agents[0] if agents else None,
        )

    def _find(self, state: State, headers: HeaderValues) -> Found:
        return state.transport.find(headers)

    @staticmethod
    def _running(plan: Callable[..., Plan[Any]]) -> Callable[..., Any]:
        async def method(self: StarletteExchange, *args: Any, **kwargs: Any) -> Any:
            return await self.in_turn(partial(plan, self, *args, **kwargs))

        return method

    async def in_turn(self, plan: Callable[[], Plan[T]]) -> T:
        """Run a plan after what other tasks of this request have asked for: else two would store the same twice.

        In a WebSocket once more, where the session is gone because it was rotated elsewhere a moment ago. Raises
        `RuntimeError` in another event loop than the request's.
        """
        if running_loop() is not self._loop:
            raise RuntimeError(
                "a request's session was awaited in another event loop than the request's: "
                "await it there, in a thread by anyio.from_thread.run, or as FastAPI's BlockingSession"
            )
        async with self._turn:
            current = self.session.current
            asked_of = None if current is None else current.session_id
            try:
                return await self._run(plan())
            except SessionGone:
                if asked_of is None or self.follower is None or not await self.follower.goes_on(asked_of):
                    raise
                return await self._run(plan())

    async def finish(self, *, failed: bool = False) -> None:
        """Close it as `close` does, whatever cancels this task meanwhile."""
        closing = self._finish(failed)
        at_once = self._loop is not None and not self._turn.locked() and not self.session.may_want()
        await (closing if at_once else to_its_end(closing))

    async def _finish(self, failed: bool) -> None:
        try:
            await self.close(failed=failed)
        except SessionGone as gone:  # and goes on under no other id
            super()._interrupt(gone.session_id)
            self.session.closed = True

    def _interrupt(self, session_id: str) -> None:
        if self.follower is not None:
            raise SessionGone(session_id)  # it may go on under another id: `in_turn` asks
        super()._interrupt(session_id)

    def skip(self) -> None:
        """Let nobody see a session: the application wants none opened here."""
        self.session.opened = False


class UnstoredExchange(StarletteExchange):
    """The exchange where cookies are over at once: one is sent, and nothing is stored."""

    def _find(self, state: State, headers: HeaderValues) -> Found:
        return Found(None, Source.NONE, super()._find(state, headers).cookie_present)

    def saving(self) -> Steps[bool]:
        """Plan nothing; a session that would be stored has a token for its cookie."""
        session = self.session
        if session.sign_in is not None or session.has_content():
            session.new_token = session.new_token or self.manager.new_token(None)
            self.outcome.cookie = CookieChange.KEEP if self.by_header else CookieChange.SET
            self.outcome.token_shown = True
        return nothing(False)

    def cookie_header(self, policy: CookiePolicy, *, max_age: int | None = None) -> str | None:
        """Return the value of `Set-Cookie`, if one is to be sent."""
        if self.outcome.cookie is CookieChange.SET:
            return policy.set_header(cast("str", self.session.new_token), max_age=max_age)
        return super().cookie_header(policy, max_age=max_age)


def exchange_for(state: State, scope: Scope, headers: HeaderValues) -> StarletteExchange:
    """Make the exchange of a connection."""
    return (StarletteExchange if state.stores else UnstoredExchange)(state, scope, headers)


async def close_failed(exchange: StarletteExchange) -> None:
    """Carry out a sign-out of what failed, and nothing else; that this fails too hides no other error."""
    try:
        await exchange.finish(failed=True)
    except RedisessError:
        _log.exception("a sign-out could not be carried out")


async def end_unheard(exchange: StarletteExchange) -> None:
    """End a session that `save()` stored under a new token, where that has gone out with no response."""
    current = exchange.session.current
    if exchange.outcome.cookie is not CookieChange.SET or current is None:
        return
    if current.token not in (None, exchange.found.token):
        try:
            await to_its_end(exchange.state.manager.kill(current.session_id))
        except RedisessError:
            _log.exception("a session whose token nobody has could not be ended")
