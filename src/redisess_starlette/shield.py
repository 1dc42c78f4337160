"""What must not break off in the middle: a cancelled request still stores what it has to."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from anyio import CancelScope

from redisess_core.loops import running_loop

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

_log: Final = logging.getLogger("redisess")


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await *work*; if this task is cancelled meanwhile, that waits until it is done.

    A scope holds back the cancellations of anyio and trio, but not those of asyncio's own tasks and timeouts.
    """
    with CancelScope(shield=True):
        return await (work if running_loop() is None else _in_a_task(work))
    raise AssertionError("a shield swallows nothing")  # scopes may, for all that type checkers know


async def _in_a_task(work: Coroutine[Any, Any, T]) -> T:
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if (failure := task.exception()) is not None:
        _log.error("a request was cancelled, and what it had to store was not stored: %s", failure)
    raise cancelled
