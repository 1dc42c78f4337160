"""Clients: those made here from a URL, and the check of those handed in."""

from __future__ import annotations

import functools
import weakref
from contextlib import suppress
from typing import Any, Final, cast

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from redisess_core.failures import FAILURES
from redisess_core.single_flight import AsyncSingleFlight, SingleFlight
from redisess_core.urls import Location, Topology, check_url

BlockingClient = redis.Redis | redis.RedisCluster
AsyncClient = redis.asyncio.Redis | redis.asyncio.RedisCluster

TIMEOUT: Final = 1.0  # seconds, to connect and for a command; `?socket_timeout=` in the URL says otherwise
_THREADS = 10_000  # connections of a pool that makes nobody wait: one a thread, as many as the application has
_CONNECTIONS = 100  # of an async pool: tasks beyond wait for one
_PATIENCE = 5.0  # seconds that a task waits for a connection
_RETRIES = 2  # of a command whose connection broke: a pooled one does not know that its server was restarted
_ONCE: Final = (NoBackoff(), 0)  # tried, where another server may take over: it is the store that tries again
_TIMEOUTS: Final = {"socket_connect_timeout": TIMEOUT, "socket_timeout": TIMEOUT}


def connect(location: Location) -> Any:
    """Make a blocking client; nothing is sent yet, but of a cluster's, which asks for its nodes."""
    options: dict[str, Any] = {**_TIMEOUTS, "max_connections": _THREADS, **(location.options or {})}
    match location.topology:
        case Topology.MEMORY:
            return _fakeredis().FakeRedis(server=_memory())
        case Topology.SERVER:
            single: Any = redis.Redis  # whose from_url is untyped in parts
            return single.from_url(location.url, **options, retry=Retry(*_retry_policy()))
        case Topology.CLUSTER:
            cluster: Any = redis.cluster  # untyped in parts
            nodes = [cluster.ClusterNode(*address) for address in location.addresses]
            client = cluster.RedisCluster(startup_nodes=nodes, **options, retry=Retry(*_ONCE))
            _shared(client.nodes_manager, "initialize", SingleFlight())
            return client
        case Topology.SENTINEL:
            sentinels: Any = redis.sentinel.Sentinel
            options["retry"] = Retry(*_ONCE)
            asked = sentinels(location.addresses, sentinel_kwargs=_of_sentinels(options))
            return _shared(asked, "discover_master", SingleFlight()).master_for(location.service, **options)


def connect_async(location: Location) -> Any:
    """Make an async client, for the event loop that first uses it; nothing is sent yet."""
    options: dict[str, Any] = {**_TIMEOUTS, **(location.options or {})}
    match location.topology:
        case Topology.MEMORY:
            return _fakeredis().FakeAsyncRedis(server=_memory())
        case Topology.SERVER:
            waiting: Any = redis.asyncio.BlockingConnectionPool  # whose from_url is untyped in parts
            options = {**options, "retry": AsyncRetry(*_retry_policy()), "max_connections": _CONNECTIONS}
            return redis.asyncio.Redis.from_pool(waiting.from_url(location.url, **options, timeout=_PATIENCE))
        case Topology.CLUSTER:
            nodes = [redis.asyncio.cluster.ClusterNode(*address) for address in location.addresses]
            cluster: Any = redis.asyncio.RedisCluster
            options = {"max_connections": _THREADS, **options, "retry": AsyncRetry(*_ONCE)}
            # By default each fifth slot that has moved would close the connections of all tasks.
            client = cluster(startup_nodes=nodes, **options, reinitialize_steps=0)
            return _shared(client, "initialize", AsyncSingleFlight())
        case Topology.SENTINEL:
            sentinels: Any = redis.asyncio.sentinel.Sentinel
            options = {"max_connections": _CONNECTIONS, "timeout": _PATIENCE, **options, "retry": AsyncRetry(*_ONCE)}
            asked = sentinels(location.addresses, sentinel_kwargs=_of_sentinels(options))
            return _shared(asked, "discover_master", AsyncSingleFlight()).master_for(
                location.service, connection_pool_class=_WaitingSentinelPool, **options
            )


def _shared(owner: Any, name: str, flight: SingleFlight[Any] | AsyncSingleFlight[Any]) -> Any:
    """Have all that call a method of *owner* at the same time share one call; returns *owner*.

    Where redis-py loses a cluster, each thread and task looks for its nodes in its turn, in vain. Where many ask
    sentinels for the primary, its list of them, which they reorder, forgets some.
    """
    method, known = getattr(owner.__class__, name), weakref.ref(owner)

    def shared(*which: Any, **how: Any) -> Any:
        return flight.attempt(functools.partial(method, known(), *which, **how))

    setattr(owner, name, shared)
    return owner


class _WaitingSentinelPool(redis.asyncio.sentinel.SentinelConnectionPool, redis.asyncio.BlockingConnectionPool):
    """Connections to the primary that sentinels name; a task waits for one where all are in use."""

    async def release(self, connection: Any) -> None:
        """Take a connection back; one to a former primary, which serves on until sentinels demote it, is closed.

        redis-py closes those that are idle when it hears of another primary, and of a blocking pool those in use, too.
        """
        primary = cast("Any", self).master_address  # untyped in parts
        try:
            if (connection.host, connection.port) != primary:
                with suppress(*FAILURES):  # the answer is here: what becomes of the connection is nothing to the caller
                    await connection.disconnect()
        finally:  # cancelled or not, or it would count as in use for good
            await super().release(connection)


def _of_sentinels(options: dict[str, Any]) -> dict[str, Any]:
    """Return what of a connection's options holds for those to sentinels: how, but not as whom."""
    return {name: value for name, value in options.items() if name.startswith(("socket_", "ssl", "retry"))}


def is_blocking_client(client: object) -> bool:
    """Tell whether *client* is a blocking one of redis-py (a pipeline is none)."""
    return isinstance(client, (redis.Redis, redis.RedisCluster)) and not hasattr(client, "command_stack")


def is_async_client(client: object) -> bool:
    """Tell whether *client* is an async one of redis-py (a pipeline is none)."""
    return isinstance(client, (redis.asyncio.Redis, redis.asyncio.RedisCluster)) and not hasattr(
        client, "command_stack"
    )


def is_cluster(client: object) -> bool:
    """Tell whether *client* talks to a Redis Cluster."""
    return isinstance(client, (redis.RedisCluster, redis.asyncio.RedisCluster))


def topology_of(client: Any) -> Topology:
    """Tell what a client, or a URL, leads to."""
    if isinstance(client, str):
        return check_url(client).topology
    if is_cluster(client):
        return Topology.CLUSTER
    pool = getattr(client, "connection_pool", None)
    pools = (redis.sentinel.SentinelConnectionPool, redis.asyncio.sentinel.SentinelConnectionPool)
    return Topology.SENTINEL if isinstance(pool, pools) else Topology.SERVER


def sentinels_of(client: Any) -> list[Any]:
    """Return the clients of the sentinels that *client*, one made here, asks for the primary."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return list(manager.sentinels) if manager is not None else []


def on_one_server(client: Any, key: bytes, other: bytes) -> bool:
    """Tell whether both keys are on the same server, as far as *client* knows."""
    if not is_cluster(client):
        return True
    try:
        return bool(client.get_node_from_key(key) == client.get_node_from_key(other))
    except RedisClusterException:  # a slot that nobody serves
        return False


def primaries_of(client: Any) -> int:
    """Return on how many servers the shards of a namespace are, as far as *client* knows."""
    return max(1, len(client.get_primaries())) if is_cluster(client) else 1


def _retry_policy() -> tuple[Any, ...]:
    return ExponentialBackoff(cap=0.05, base=0.01), _RETRIES, (RedisConnectionError,)


def _fakeredis() -> Any:
    try:
        import fakeredis  # noqa: PLC0415  an extra: only memory:// needs it
        import lupa  # type: ignore[import-untyped]  # noqa: F401, PLC0415  its scripts need it
    except ImportError as error:
        raise ImportError('memory:// needs an extra: pip install "redisess[memory]"') from error
    return fakeredis


@functools.cache
def _memory() -> Any:
    """Return the embedded server, one a process."""
    return _fakeredis().FakeServer()
