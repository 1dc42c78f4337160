"""The life of sessions as it happens, in every process: at most once, handles only, never a token."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from redisess_core.errors import StoreUnavailable

if TYPE_CHECKING:
    from typing import Self

    from redisess_core.store import AsyncStore, Store

_POLL = 0.25  # seconds within which an iterator sees that it was closed


class EventKind(StrEnum):
    """What became of a session."""

    CREATED = "created"
    ROTATED = "rotated"
    KILLED = "killed"
    EXPIRED = "expired"


class EventReason(StrEnum):
    """Why a session ended."""

    LOGOUT = "logout"
    KILLED = "killed"
    USER_KILLED = "user_killed"
    ALL_KILLED = "all_killed"
    LIMIT = "limit"
    ROTATED = "rotated"
    IDLE = "idle"
    LIFETIME = "lifetime"


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One thing that became of one session.

    `at` is in seconds since the epoch; `reason` is None when it was created; `successor` is the new session id when
    it was rotated.
    """

    kind: EventKind
    session_id: str
    user_id: str | None
    at: float
    reason: EventReason | None = None
    successor: str | None = None


def read_event(payload: bytes) -> SessionEvent | None:
    """Read what the scripts publish; None for what others do."""
    try:
        kind, session_id, at, reason, successor, user_id = payload.decode().split("\n", 5)
        return SessionEvent(
            EventKind(kind),
            session_id,
            user_id or None,
            float(at),
            EventReason(reason) if reason else None,
            successor or None,
        )
    except ValueError:
        return None


class Events(Iterator[SessionEvent]):
    """Events from the moment it is made on; waits for the next one. Close it, or leave its `with`, to end it.

    Where Redis is away, that is a `StoreUnavailable`; whoever goes on listens anew, wherever Redis is by then.
    """

    def __init__(self, store: Store, channels: list[bytes]) -> None:
        self._store = store
        self._channels = channels
        self._reading = threading.Lock()
        self._closed = False
        self._pubsub = store.subscribe(channels)
        store.listeners.add(self)

    def __next__(self) -> SessionEvent:
        while True:
            with self._reading:
                if self._closed:
                    self._unsubscribe()
                    raise StopIteration
                payload = self._next_payload()
            event = None if payload is None else read_event(payload)
            if event is not None:
                return event

    def _next_payload(self) -> bytes | None:
        if self._pubsub is None:
            self._pubsub = self._store.subscribe(self._channels)
        try:
            return self._store.next_message(self._pubsub, _POLL)
        except StoreUnavailable:
            self._unsubscribe()
            raise

    def _unsubscribe(self) -> None:
        if self._pubsub is not None:
            pubsub, self._pubsub = self._pubsub, None
            pubsub.close()

    def close(self) -> None:
        """End the subscription; whoever waits for an event, in whatever thread, stops."""
        self._closed = True  # before the lock, which a reader takes again at once
        # Whoever reads sees that soon. In a signal's handler the reader may be this very thread, and in a forked
        # process none: there it is left to the reader.
        if self._reading.acquire(timeout=2 * _POLL):
            try:
                self._unsubscribe()
            finally:
                self._reading.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncEvents(AsyncIterator[SessionEvent]):
    """Events from `async with`, or else the first `async for`, on. Close it, or leave its `async with`, to end it.

    Where Redis is away, that is a `StoreUnavailable`; whoever goes on listens anew, wherever Redis is by then.
    """

    def __init__(self, store: AsyncStore, channels: list[bytes]) -> None:
        self._store = store
        self._channels = channels
        self._reading = asyncio.Lock()
        self._closed = False
        self._pubsub: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __anext__(self) -> SessionEvent:
        while True:
            async with self._reading:
                if self._closed:
                    await self._unsubscribe()
                    raise StopAsyncIteration
                await self._subscribe()
                try:
                    payload = await self._store.next_message(self._pubsub, _POLL)
                except StoreUnavailable:
                    await self._unsubscribe()
                    raise
            event = None if payload is None else read_event(payload)
            if event is not None:
                return event

    async def _subscribe(self) -> None:
        if self._pubsub is None:
            self._loop = asyncio.get_running_loop()
            self._store.listeners.add(self)
            self._pubsub = await self._store.subscribe(self._channels)

    async def _unsubscribe(self) -> None:
        if self._pubsub is not None:
            pubsub, self._pubsub = self._pubsub, None
            await pubsub.aclose()

    async def aclose(self) -> None:
        """End the subscription; whoever waits for an event, in whatever task, stops."""
        self._closed = True
        if self._loop in (None, asyncio.get_running_loop()):  # else whoever waits in the other loop ends it
            async with self._reading:
                await self._unsubscribe()

    async def __aenter__(self) -> Self:
        await self._subscribe()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
