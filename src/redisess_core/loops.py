"""Event loops: a client lives as long as its own; redis-py knows asyncio's, to which a task of trio's has to go."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from redisess_core.connect import sentinels_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

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


class LoopClient:
    """A client of the running event loop, closed when that ends, where nobody closes it before.

    A loop keeps note of the async generators that begin in it (PEP 525), and whoever ends it with
    `shutdown_asyncgens()`, as `asyncio.run` and servers do, closes them: so one that does nothing but wait for its end
    is told of the loop's. Of a loop that only stops, nobody is told: there `abandon()` is left.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self._lifetime = self._live()
        with suppress(StopIteration):  # begun without a task: its first step waits for nothing
            self._lifetime.__anext__().__await__().__next__()

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if hasattr(self.client, "nodes_manager"):
                self.client._initialize = False  # or it closes nothing, after a failure that had it look for the nodes
            for client in (self.client, *sentinels_of(self.client)):
                await client.aclose()

    async def aclose(self) -> None:
        """Close the client, in its loop."""
        await self._lifetime.aclose()

    def abandon(self) -> None:
        """Drop the client of a closed loop: nothing can be awaited there, so its sockets are closed from here."""
        for connection in self._connections():
            writer, connection._writer, connection._reader = connection._writer, None, None
            transport: Any = getattr(writer, "transport", None)
            open_socket = getattr(transport, "_sock", None)
            if open_socket is not None:
                open_socket.close()
                transport._sock, transport._closing = None, True  # or finalizers warn of what was just done

    def _connections(self) -> list[Any]:
        """Return what the client has open; redis-py has no public way."""
        nodes = getattr(self.client, "nodes_manager", None)
        if nodes is not None:
            self.client._initialize = True  # or its finalizer warns, too
            known = (*nodes.nodes_cache.values(), *nodes.startup_nodes.values())  # equal ones may not be the same
            return [connection for node in known for connection in node._connections]
        pools = [client.connection_pool for client in (self.client, *sentinels_of(self.client))]
        return [each for pool in pools for each in (*pool._available_connections, *pool._in_use_connections)]
