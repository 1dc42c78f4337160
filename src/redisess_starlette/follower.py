"""Follows one session for one WebSocket: through rotations by the same user, to its end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from redisess_core import RedisessError, SessionEvent
from redisess_core.tokens import session_id_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redisess_core.session_state import SessionState
    from redisess_starlette.session import StarletteSession
    from redisess_starlette.watch import Watch

_log: Final = logging.getLogger("redisess")
_AGAIN: Final = 1.0  # seconds until the next look, while Redis is away
_GRACE: Final = 0.1  # seconds that the word of another rotation has to arrive, where the session is not found
_PATIENCE: Final = 1.0  # seconds likewise, where the app waits for it
_BRIEF: Final = 0.05  # seconds between two looks, at least
_LONG: Final = 86_400.0  # and at most: event loops do not take an endless wait


class Follower:
    """Follows the session of a socket, and calls *end* once when that has ended."""

    def __init__(self, session: StarletteSession, watch: Watch, end: Callable[[], Awaitable[None]]) -> None:
        self._session, self._watch, self._end = session, watch, end
        self._followed: str | None = None
        self._early: list[SessionEvent] = []
        self._look_now, self._heard = asyncio.Event(), asyncio.Event()
        self._ended = self._stopped = False
        self._acting: asyncio.Task[None] | None = None

    def follow(self, session_id: str | None) -> None:
        """Follow this session from now on, and no other."""
        before, self._followed = self._followed, session_id
        if session_id is not None:  # added before the other is removed, so that the subscription goes on
            self._watch.add(session_id, self._told)
        if before is not None and before != session_id:
            self._watch.remove(before, self._told)

    def act(self) -> None:
        """Act on what is told, once the session is loaded, and on what was told before."""
        self._acting = asyncio.create_task(self._act(), name="redisess follower")
        for event in self._early:
            self._told(event)

    def go_on(self, current: SessionState) -> None:
        """Follow what the socket itself has gone on to; it may have ended before anybody listened."""
        if current.session_id != self._followed and not self._stopped:
            self.follow(current.session_id)
            self._look_now.set()
            if self._acting is None:
                self.act()

    async def goes_on(self, session_id: str) -> bool:
        """Whether a session that is gone under this id has another now; the word of that may be on its way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while self._followed == session_id and not self._ended:
                    self._heard.clear()
                    await self._heard.wait()
        return not self._ended and self._followed not in (None, session_id)

    async def rest(self) -> None:
        """Follow, but call for no end any more; one that was noticed is carried through, however long that takes."""
        self._stopped = True
        if self._acting is not None:
            if self._ended:
                await asyncio.wait([self._acting])
            else:
                self._acting.cancel()

    async def stop(self) -> None:
        """Follow no more."""
        self._stopped = True
        self.follow(None)
        if self._acting is not None:
            self._acting.cancel()
            await asyncio.wait([self._acting])
        await self._watch.stopped()

    def _told(self, event: SessionEvent | None) -> None:
        if event is not None:
            if self._acting is None:
                self._early.append(event)
                return
            self._take(event)
            self._heard.set()
        self._look_now.set()

    def _take(self, event: SessionEvent) -> None:
        current, own_next = self._session.current, self._own_next()
        if event.successor is not None and event.successor == own_next:
            return  # the socket's own doing: it goes on to that
        if event.successor is not None and current is not None and current.user_id == event.user_id:
            current.rename(event.successor)
            self.follow(event.successor)
        elif own_next is None:
            self._ended = True  # else it may be the socket's own doing: a look shows

    def _own_next(self) -> str | None:
        """Return the id that the socket is about to give its session."""
        token = self._session.new_token
        return None if token is None else session_id_of(token)

    async def _act(self) -> None:
        delay = 0.0 if self._session.current is None else self._session.current.expires_in
        while not (self._ended or self._stopped):  # before Python 3.12, `wait_for` may swallow a cancellation
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(delay, _BRIEF), _LONG)):
                    await self._look_now.wait()
            self._look_now.clear()
            if not self._ended:
                delay = await self._look()
        if self._ended:
            await self._end()

    async def _look(self) -> float:
        """Look at the session; return for how many seconds it lives unless it is touched."""
        followed = self._followed
        if followed is None:
            return _LONG
        get = self._session.exchange.state.manager.get
        try:
            for session_id in (followed, self._own_next()):
                found = None if session_id is None else await get(session_id, touch=False)
                if found is not None:
                    return found.expires_in
        except Exception as error:  # noqa: BLE001  whatever it is, the socket must not stay open for good
            _log.warning(
                "a WebSocket's session could not be looked at, and it stays open: %s",
                error,
                exc_info=not isinstance(error, RedisessError),
            )
            return _AGAIN
        await asyncio.sleep(_GRACE)
        self._ended = self._ended or self._followed == followed
        self._heard.set()
        return 0
