"""What a client raises, in our words, and what of it may pass in a moment."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    ClusterError,
    MaxConnectionsError,
    MovedError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from redisess_core.errors import RedisessError, StoreUnavailable, StoreUnsupported
from redisess_core.wording import said_by

if TYPE_CHECKING:
    from collections.abc import Generator

FAILURES: Final = (RedisError, RedisClusterException, OSError)  # the second, no RedisError, is a cluster that is away
_PASSING: Final = re.compile(  # before 7.0, what a command in a script meets comes after words about the script
    r"(?:Error running script .*: -)?"
    r"(?:LOADING|MASTERDOWN|NOREPLICAS|MISCONF|CLUSTERDOWN|BUSY|NOAUTH|WRONGPASS|OOM|READONLY)\b"
)
_ELSEWHERE: Final = "non local key in a cluster node"  # what a script meets that wants a key of a slot on the move
_PASSING_ERRORS: Final = (ReadOnlyError, OutOfMemoryError, TryAgainError, ClusterError)
_FAILING_OVER: Final = (
    *(RedisConnectionError, RedisTimeoutError, ReadOnlyError, OSError),
    *(ClusterError, ClusterDownError, RedisClusterException, TryAgainError),
)


def translate(error: Exception) -> RedisessError:
    """Say a client's exception in our words; it stays the cause."""
    if isinstance(error, ResponseError) and re.match(r"unknown command .HELLO\b", str(error)):  # new in 6.0
        return StoreUnsupported(f"Redis 6.2 or later wanted, one found that answers: {error}")
    if isinstance(error, MovedError):
        return RedisessError("Redis is a node of a cluster: a redis+cluster:// URL or a client of the cluster wanted")
    passing = isinstance(error, _PASSING_ERRORS) or _PASSING.match(str(error)) is not None or _ELSEWHERE in str(error)
    if isinstance(error, ResponseError) and not passing:
        return RedisessError(f"Redis refused what was asked of it: {error}")
    return StoreUnavailable(f"Redis cannot be used now: {type(error).__name__}: {said_by(error)}")


def may_pass(error: Exception) -> bool:
    """Tell whether what was asked for may be granted in a moment, by another server or by this one.

    Every operation may be asked for twice, as it may have been done and only the answer lost: the scripts find what
    they did and say so again, or, where they end or delete, find nothing left to do, and say that.
    """
    if any(isinstance(each, (AuthenticationError, MaxConnectionsError)) for each in (error, error.__cause__)):
        return False  # a cluster's client says of all its nodes that they are away, and only by the cause why
    said = str(error)
    return isinstance(error, _FAILING_OVER) or _ELSEWHERE in said or "NOREPLICAS" in said or closed_meanwhile(error)


def is_failure(error: Exception) -> bool:
    """Tell whether it is the client's, not the program's own."""
    return isinstance(error, FAILURES) or closed_meanwhile(error)


@contextmanager
def in_our_words() -> Generator[None]:
    """Raise what a client raises in our words."""
    try:
        yield
    except Exception as error:  # of any kind: redis-py has failures that are no errors of its own
        if not is_failure(error):
            raise
        raise translate(error) from error


def closed_meanwhile(error: Exception) -> bool:
    """Tell whether redis-py wrote to a connection that it had closed, for another task, where a server failed."""
    said = str(error)
    return (isinstance(error, AttributeError) and "'NoneType' object has no attribute" in said) or (
        isinstance(error, RuntimeError) and "the handler is closed" in said  # as uvloop says it
    )
