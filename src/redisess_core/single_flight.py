"""Single flight: one attempt for all that want the same at the same time, in vain, too."""

from __future__ import annotations

import asyncio
import copy
import os
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from redisess_core.failures import FAILURES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class _Outcome(Generic[T]):
    """What became of the last attempt."""

    def __init__(self) -> None:
        self.number = 0
        self._result: Any = None
        self._error: Exception | None = None

    def keep(self, result: T) -> T:
        """Note what the attempt returned."""
        self.number, self._result, self._error = self.number + 1, result, None
        return result

    def keep_error(self, error: Exception) -> None:
        """Note what the attempt raised."""
        self.number, self._result, self._error = self.number + 1, None, _bare(error)

    def give(self) -> T:
        """Return what the last attempt returned, or raise what it raised."""
        if self._error is not None:
            raise _bare(self._error)
        result: T = self._result
        return result


class SingleFlight(Generic[T]):
    """Attempts for threads: whoever comes while one is under way waits for that, and has what became of it.

    Each in its turn would wait for all before it, and where a cluster is away an attempt takes some seconds.
    """

    def __init__(self) -> None:
        self._lock, self._process = threading.RLock(), os.getpid()
        self._last: _Outcome[T] = _Outcome()

    def attempt(self, call: Callable[[], T]) -> T:
        """Call, or wait for another thread's call; returns or raises what came of it."""
        if self._process != os.getpid():  # forked, maybe during an attempt of a thread that is not here
            self._lock, self._process = threading.RLock(), os.getpid()
        seen = self._last.number
        with self._lock:
            if self._last.number != seen:
                return self._last.give()
            try:
                return self._last.keep(call())
            except FAILURES as error:
                self._last.keep_error(error)
                raise


class AsyncSingleFlight(Generic[T]):
    """Attempts for the tasks of a loop, as `SingleFlight` has them for threads."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._last: _Outcome[T] = _Outcome()

    async def attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call, or wait for another task's call; returns or raises what came of it."""
        seen = self._last.number
        async with self._lock:
            if self._last.number != seen:
                return self._last.give()
            try:
                return self._last.keep(await call())
            except FAILURES as error:
                self._last.keep_error(error)
                raise


def _bare(error: BaseException) -> Any:
    """Copy an exception and its cause, without the frames that they went through."""
    bare = copy.copy(error)
    bare.__cause__ = copy.copy(error.__cause__)
    return bare
