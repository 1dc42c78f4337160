"""The end of sessions, told to the WebSockets that they are open in: one subscription, however many sockets."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from redisess_core import EventKind, RedisessError, SessionEvent, StoreUnavailable, StoreUnsupported
from redisess_core.events import read_event
from redisess_core.store import RENEWED

if TYPE_CHECKING:
    from redisess_core import AsyncSessionManager

Tell = Callable[[SessionEvent | None], None]
"""Called with what became of a session; with None, where something may have become of it that nobody heard."""

_QUIET: Final = 5.0  # seconds without a word, after which the server is asked for one
_AGAIN: Final = 0.5  # seconds between attempts to subscribe
_log: Final = logging.getLogger("redisess")


class Watch:
    """Watches the sessions of one event loop's sockets, from the first to the last of them."""

    def __init__(self, manager: AsyncSessionManager) -> None:
        self._manager = manager
        self._tells: defaultdict[str, set[Tell]] = defaultdict(set)
        self._listening: asyncio.Task[None] | None = None
        self._stopping: set[asyncio.Task[None]] = set()

    def add(self, session_id: str, tell: Tell) -> None:
        """Tell what becomes of a session from now on; `tell(None)` comes once a subscription stands.

        Raises `StoreUnsupported` if the client cannot subscribe.
        """
        if not hasattr(self._manager.client, "pubsub"):  # the async cluster client of older redis-py
            raise StoreUnsupported("a client without pubsub found, a newer redis-py wanted: sockets hear of ends by it")
        self._tells[session_id].add(tell)
        if self._listening is None:
            # In no context: it outlives the connection that it begins in.
            self._listening = asyncio.create_task(self._listen(), name="redisess watch", context=Context())

    def remove(self, session_id: str, tell: Tell) -> None:
        """Tell no more; after the last one, the subscription ends."""
        self._tells[session_id].discard(tell)
        if not self._tells[session_id]:
            del self._tells[session_id]
        if not self._tells:
            self._stop()

    def _stop(self) -> None:
        if self._listening is not None:
            listening, self._listening = self._listening, None
            self._stopping.add(listening)
            listening.add_done_callback(self._stopping.discard)
            listening.cancel()

    async def aclose(self) -> None:
        """Tell nobody any more."""
        self._tells.clear()
        self._stop()
        await self.stopped()

    async def stopped(self) -> None:
        """Wait for the end of a subscription that nobody needs any more."""
        if self._stopping:
            await asyncio.wait(self._stopping)

    async def _listen(self) -> None:
        store, channels = self._manager.store, self._manager.event_channels()
        hearing = True
        await asyncio.sleep(0)  # an eager task begins before anybody has it
        while self._goes_on():
            try:
                subscription = await store.subscribe(channels)
                try:
                    hearing = True
                    self._tell_all()
                    await self._read(subscription)
                finally:
                    await subscription.aclose()
            except Exception as error:  # noqa: BLE001  whatever it is, WebSockets must not stay open for good
                if hearing:
                    _log.warning(
                        "ends of sessions are not heard of now, and WebSockets stay open: %s",
                        error,
                        exc_info=not isinstance(error, RedisessError),
                    )
                hearing = False
                await asyncio.sleep(_AGAIN)

    def _goes_on(self) -> bool:
        return self._listening is asyncio.current_task()  # before Python 3.12, `wait_for` may swallow a cancellation

    async def _read(self, subscription: Any) -> None:
        """Pass on what is heard; raises `StoreUnavailable` if nothing comes any more, not even when asked."""
        store, clock, asked = self._manager.store, asyncio.get_running_loop().time, False
        while self._goes_on():
            began = clock()
            payload = await store.next_message(subscription, _QUIET)
            if payload is None and clock() - began >= _QUIET:
                if asked:
                    raise StoreUnavailable("Redis does not answer on the subscription")
                await store.ping(subscription)
                asked = True
                continue
            asked = False
            if payload == RENEWED:
                self._tell_all()
            elif payload is not None:
                self._pass_on(read_event(payload))

    def _pass_on(self, event: SessionEvent | None) -> None:
        if event is not None and event.kind is not EventKind.CREATED:  # of which a socket may know before
            for tell in [*self._tells.get(event.session_id, ())]:
                tell(event)

    def _tell_all(self) -> None:
        for tell in [tell for tells in self._tells.values() for tell in tells]:
            tell(None)
