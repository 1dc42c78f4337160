"""Event loops: redis-py knows those of asyncio; a task of trio's has to go to one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return asyncio's running event loop; None in a task of trio's, or in none at all."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def in_its_own_loop(function: Callable[[Any], Coroutine[Any, Any, T]], argument: object) -> T:
    """Call and await *function* from a task of trio's, in a thread with a loop of asyncio's."""
    import trio  # noqa: PLC0415  only whoever runs in it gets here

    return await trio.to_thread.run_sync(lambda: asyncio.run(function(argument)))
