"""What the tests of the core share beside the fixtures of every suite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from redisess_core import SessionManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

READERS: dict[bytes, Callable[[redis.Redis, bytes], Any]] = {
    b"string": lambda client, key: client.get(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    b"set": lambda client, key: client.smembers(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
}


@pytest.fixture
def stored(redis_client: redis.Redis) -> Callable[[], dict[bytes, Any]]:
    """Read the whole database, as somebody does who has got hold of it: `stored()`."""
    return lambda: {key: READERS[redis_client.type(key)](redis_client, key) for key in redis_client.scan_iter()}


@pytest.fixture
def left(stored: Callable[[], dict[bytes, Any]]) -> Callable[[], set[bytes]]:
    """Name the keys there are, but for the records of namespaces, which stay: `left()`."""
    return lambda: {key for key in stored() if not key.endswith(b"}:layout")}


@pytest.fixture
def filler(
    redis_client: redis.Redis, namespace: str, clock: Callable[[], float], default_shards: int | None
) -> Iterator[SessionManager]:
    """Make many sessions in the test's namespace fast, whichever manager the test is about."""
    with SessionManager(redis_client, namespace=namespace, clock=clock, shards=default_shards) as manager:
        yield manager
