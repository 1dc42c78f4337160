"""Clients: those made here from a URL, and the check of those handed in."""

from __future__ import annotations

import functools
import re
from typing import Any
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

BlockingClient = redis.Redis | redis.RedisCluster
AsyncClient = redis.asyncio.Redis | redis.asyncio.RedisCluster

SCHEMES = ("redis", "rediss", "unix", "memory")
_SCHEMES_SAID = ", ".join(f"{scheme}://" for scheme in SCHEMES[:-1]) + f" or {SCHEMES[-1]}://"
_LIKE_A_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*")
_UNKNOWN_OPTION = re.compile(r"unexpected keyword argument ('\w+')")
TIMEOUT = 1.0  # seconds, to connect and for a command; `?socket_timeout=` in the URL says otherwise
_THREADS = 10_000  # connections of a blocking pool: one a thread, as many as the application has
_CONNECTIONS = 100  # of an async pool: tasks beyond wait for one
_PATIENCE = 5.0  # seconds that a task waits for a connection
_RETRIES = 2  # of a command whose connection broke: a pooled one does not know that its server was restarted


def check_url(url: str) -> str:
    """Return *url* if a client can be made from it; messages show nothing of it but its scheme and options."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in SCHEMES:
        given = f" that begins with {scheme!r}" if separator and _LIKE_A_SCHEME.fullmatch(scheme) else ""
        raise ValueError(f"a URL{given} given, one that begins with {_SCHEMES_SAID} wanted")
    if scheme != "memory":
        _check_parts(url)
    elif url != "memory://":
        raise ValueError("a URL with more than memory:// given: the embedded server has no name and no options")
    return url


def _check_parts(url: str) -> None:
    """Make what a first command would make of the URL, short of the connection."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # whose message shows what it took for a port, which may be of a password
        raise ValueError(
            "a URL with a wrong host or port given, like redis://user:password@127.0.0.1:6379/0 wanted, "
            "with the special characters of a password percent-encoded"
        ) from None
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not database.isdecimal():  # redis-py would take database 0
        raise ValueError("a URL with a wrong database given, a number behind the host wanted, as in redis://host/0")
    try:
        pool: Any = redis.ConnectionPool.from_url(url)  # pyright: ignore[reportUnknownMemberType]
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError, redis.RedisError) as error:
        unknown = _UNKNOWN_OPTION.search(str(error))
        said = f"{unknown[1]} is none that redis-py knows" if unknown else str(error)
        raise ValueError(f"a URL with an unknown or wrong option given: {said}") from None


def connect(url: str) -> Any:
    """Make a blocking client; nothing is sent yet."""
    if urlsplit(check_url(url)).scheme == "memory":
        return _fakeredis().FakeRedis(server=_memory())
    client: Any = redis.Redis  # whose from_url is untyped in parts
    return client.from_url(
        url,
        socket_connect_timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
        retry=Retry(*_retry_policy()),
        max_connections=_THREADS,
    )


def connect_async(url: str) -> Any:
    """Make an async client, for the event loop that first uses it; nothing is sent yet."""
    if urlsplit(check_url(url)).scheme == "memory":
        return _fakeredis().FakeAsyncRedis(server=_memory())
    pool: Any = redis.asyncio.BlockingConnectionPool  # likewise
    return redis.asyncio.Redis.from_pool(
        pool.from_url(
            url,
            socket_connect_timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            retry=AsyncRetry(*_retry_policy()),
            max_connections=_CONNECTIONS,
            timeout=_PATIENCE,
        )
    )


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
