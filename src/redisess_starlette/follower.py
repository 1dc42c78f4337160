"""Follows one session for one WebSocket: through rotations by the same user, to its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from redisess_core import SessionEvent, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redisess_core.session_state import SessionState
    from redisess_starlette.session import StarletteSession
    from redisess_starlette.watch import Watch

_AGAIN: Final = 1.0  # seconds until the next look, while Redis is away
_GRACE: Final = 0.1  # seconds that the word of another rotation has to arrive, where the session is not found
_BRIEF: Final = 0.05  # seconds between two looks, at least
_LONG: Final = 86_400.0  # and at most: event loops do not take an endless wait


class Follower:
    """Follows the session of a socket, and calls *end* once when that has ended."""

    def __init__(self, session: StarletteSession, watch: Watch, end: Callable[[], Awaitable[None]]) -> None:
        self._session, self._watch, self._end = session, watch, end
        self._followed: str | None = None
        self._look_now = asyncio.Event()
        self._ended = False
        self._acting: asyncio.Task[None] | None = None

    def follow(self, session_id: str | None) -> None:
        """Follow this session from now on, and no other."""
        before, self._followed = self._followed, session_id
        if session_id is not None:  # added before the other is removed, so that the subscription goes on
            self._watch.add(session_id, self._told)
        if before is not None and before != session_id:
            self._watch.remove(before, self._told)

    def act(self) -> None:
        """Act on what is told, once the session is loaded; what was told before makes for a look at it."""
        self._acting = asyncio.create_task(self._act(), name="redisess follower")

    def go_on(self, current: SessionState) -> None:
        """Follow what the socket itself has gone on to; it may have ended before anybody listened."""
        if current.session_id != self._followed:
            self.follow(current.session_id)
            self._look_now.set()
            if self._acting is None:
                self.act()

    async def stop(self) -> None:
        """Follow no more."""
        self.follow(None)
        if self._acting is not None:
            self._acting.cancel()
            await asyncio.wait([self._acting])
        await self._watch.stopped()

    def _told(self, event: SessionEvent | None) -> None:
        session = self._session
        if event is not None and self._acting is not None:
            if session.session_id not in (None, event.session_id):
                return  # the socket's own doing: it goes on to another, and this one is over
            if event.successor is not None and session.current is not None and session.user_id == event.user_id:
                session.current = session.current.renamed(event.successor)
                self.follow(event.successor)
            else:
                self._ended = True
        self._look_now.set()

    async def _act(self) -> None:
        delay = 0.0 if self._session.current is None else self._session.current.expires_in
        while not self._ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(delay, _BRIEF), _LONG)):
                    await self._look_now.wait()
            self._look_now.clear()
            if not self._ended:
                delay = await self._look()
        await self._end()

    async def _look(self) -> float:
        """Look at the session; return for how many seconds it lives unless it is touched."""
        looked_for = self._followed
        if looked_for is None:
            return _LONG
        try:
            found = await self._session.exchange.state.manager.get(looked_for, touch=False)
        except StoreUnavailable:
            return _AGAIN
        if found is None:
            await asyncio.sleep(_GRACE)
            self._ended = self._ended or self._followed == looked_for
            return 0
        current = self._session.current
        if current is not None and current.session_id == found.session_id and current.token is None:
            self._session.current = found  # it was rotated elsewhere, and only its id was known
        return found.expires_in
