"""The two managers: the same operations, blocking and async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from redisess_core import connect
from redisess_core.config import CLUSTER_SHARDS, LimitPolicy, Options, check_fields
from redisess_core.events import AsyncEvents, Events
from redisess_core.layout import layout_operation
from redisess_core.operation import Awaiting, Blocking
from redisess_core.operations import SessionOperations, reserved_names
from redisess_core.session import AsyncSession, Session
from redisess_core.store import AsyncStore, Store
from redisess_core.urls import Topology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

    from redisess_core.operation import Plan

T = TypeVar("T")


class SessionManager(SessionOperations[Session], Blocking):
    """Sessions in Redis, over a blocking client; threads share one, and it survives a fork.

    *client* is a `redis.Redis`, a `redis.RedisCluster`, a client made by Sentinel, or a URL (redis, rediss, unix,
    redis+cluster, redis+sentinel, memory). Wrong arguments raise `TypeError` or `ValueError` here; nothing is sent
    before the first operation. Every operation may raise `StoreUnavailable`, the first one also `NamespaceMismatch`
    and `StoreUnsupported`.
    """

    session_class = Session

    def __init__(
        self,
        client: connect.BlockingClient | str,
        *,
        namespace: str = "sessions",
        additional_fields: Iterable[str] = (),
        ttl: float = 1800,
        max_lifetime: float | None = None,
        touch_interval: float = 1.0,
        max_sessions_per_user: int | None = None,
        on_limit: LimitPolicy = "evict",
        record_client: bool = True,
        max_data_bytes: int = 65536,
        shards: int | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if not isinstance(client, str) and not connect.is_blocking_client(client):
            wanted = "a blocking client of redis-py (redis.Redis, redis.RedisCluster) or a URL"
            if connect.is_async_client(client):
                wanted += "; AsyncSessionManager takes an async one"
            raise TypeError(f"client: {_name_of(client)} given, {wanted} wanted")
        super().__init__(
            Options(
                namespace=namespace,
                additional_fields=check_fields(additional_fields, reserved_names()),
                ttl=ttl,
                max_lifetime=max_lifetime,
                touch_interval=touch_interval,
                max_sessions_per_user=max_sessions_per_user,
                on_limit=on_limit,
                record_client=record_client,
                max_data_bytes=max_data_bytes,
                shards=_shards_for(client) if shards is None else shards,
                clock=clock,
            )
        )
        self.store = self._store = Store(client, layout_operation(self.namespace, self.shards))

    @property
    def client(self) -> Any:
        """The client in use."""
        return self.store.client

    def events(self) -> Events:
        """Iterate over what becomes of sessions, in any process, from now on: at most once. Its `with` ends it."""
        return Events(self.store, self.event_channels())

    def run(self, plan: Plan[T]) -> T:
        """Run what was planned, as an adapter does: an operation, or several steps."""
        return self._run(plan)

    def close(self) -> None:
        """Close what this manager opened; a client that was handed in stays open."""
        self.store.close()

    def quit(self) -> None:
        """Close; the name that it has in the Node original."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncSessionManager(SessionOperations[AsyncSession], Awaiting):
    """Sessions in Redis, over an async client: as `SessionManager`, with `await` and `async for`.

    Made from a URL it keeps one pool a running event loop; a client that is handed in belongs to one loop.
    """

    session_class = AsyncSession

    def __init__(
        self,
        client: connect.AsyncClient | str,
        *,
        namespace: str = "sessions",
        additional_fields: Iterable[str] = (),
        ttl: float = 1800,
        max_lifetime: float | None = None,
        touch_interval: float = 1.0,
        max_sessions_per_user: int | None = None,
        on_limit: LimitPolicy = "evict",
        record_client: bool = True,
        max_data_bytes: int = 65536,
        shards: int | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if not isinstance(client, str) and not connect.is_async_client(client):
            wanted = "an async client of redis-py (redis.asyncio.Redis, redis.asyncio.RedisCluster) or a URL"
            if connect.is_blocking_client(client):
                wanted += "; SessionManager takes a blocking one"
            raise TypeError(f"client: {_name_of(client)} given, {wanted} wanted")
        super().__init__(
            Options(
                namespace=namespace,
                additional_fields=check_fields(additional_fields, reserved_names()),
                ttl=ttl,
                max_lifetime=max_lifetime,
                touch_interval=touch_interval,
                max_sessions_per_user=max_sessions_per_user,
                on_limit=on_limit,
                record_client=record_client,
                max_data_bytes=max_data_bytes,
                shards=_shards_for(client) if shards is None else shards,
                clock=clock,
            )
        )
        self.store = self._store = AsyncStore(client, layout_operation(self.namespace, self.shards))

    @property
    def client(self) -> Any:
        """The client of the running event loop."""
        return self.store.client

    def events(self) -> AsyncEvents:
        """Iterate over what becomes of sessions, in every process, from `async with` on: at most once."""
        return AsyncEvents(self.store, self.event_channels())

    async def run(self, plan: Plan[T]) -> T:
        """Run what was planned, as an adapter does: an operation, or several steps."""
        return await self._run(plan)

    async def aclose(self) -> None:
        """Close what this manager opened; a client that was handed in stays open."""
        await self.store.aclose()

    async def quit(self) -> None:
        """Close; the name that it has in the Node original."""
        await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _shards_for(client: object) -> int:
    return CLUSTER_SHARDS if connect.topology_of(client) is Topology.CLUSTER else 1


def _name_of(client: object) -> str:
    return f"{type(client).__module__}.{type(client).__qualname__}"
