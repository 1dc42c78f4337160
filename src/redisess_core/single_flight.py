"""Single flight: one attempt for all that want the same at the same time, in vain, too."""

from __future__ import annotations

import asyncio
import copy
import threading
from typing import TYPE_CHECKING

from redisess_core.failures import FAILURES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class _Landed:
    """What became of the last attempt."""

    def __init__(self) -> None:
        self.number = 0
        self._error: Exception | None = None

    def note(self, error: Exception | None = None) -> None:
        """Keep what an attempt raised, if it did."""
        self.number += 1
        self._error = copy.copy(error)  # without the frames that it went through

    def tell(self) -> None:
        """Raise what the last attempt raised."""
        if self._error is not None:
            raise copy.copy(self._error)


class SingleFlight:
    """Attempts for threads: whoever comes while one is under way waits for that, and has what became of it.

    Each in its turn would wait for all before it, and where a cluster is away an attempt takes some seconds.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._landed = _Landed()

    def attempt(self, call: Callable[[], object]) -> None:
        """Call, or wait for another thread's call; raises what that raised."""
        seen = self._landed.number
        with self._lock:
            if self._landed.number != seen:
                self._landed.tell()
                return
            try:
                call()
            except FAILURES as error:
                self._landed.note(error)
                raise
            self._landed.note()


class AsyncSingleFlight:
    """Attempts for the tasks of a loop, as `SingleFlight` has them for threads."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._landed = _Landed()

    async def attempt(self, call: Callable[[], Awaitable[object]]) -> None:
        """Call, or wait for another task's call; raises what that raised."""
        seen = self._landed.number
        async with self._lock:
            if self._landed.number != seen:
                self._landed.tell()
                return
            try:
                await call()
            except FAILURES as error:
                self._landed.note(error)
                raise
            self._landed.note()
