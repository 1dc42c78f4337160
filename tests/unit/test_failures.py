"""What a client raises: what may pass in a moment, and what is the program's own."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import AuthenticationError, RedisClusterException, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError

from redisess_core import AsyncSessionManager, StoreUnavailable
from redisess_core.failures import in_our_words, may_pass

CLOSED = {
    "asyncio": AttributeError("'NoneType' object has no attribute 'writelines'"),
    "uvloop": RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
}


class Broken:
    """A client whose every command fails in one way."""

    def __init__(self, error):
        self.error = error
        self.asked = 0

    async def execute_command(self, *_args, **_options):
        self.asked += 1
        raise self.error


def asked(monkeypatch, error):
    """Ask by a manager whose client is broken; give what came of it."""

    async def ask():
        async with AsyncSessionManager("redis://127.0.0.1:1") as manager:
            monkeypatch.setattr(type(manager.store), "_usable", lambda _self: Broken(error))
            await manager.count()

    with pytest.raises(Exception, match=r".") as raised:
        asyncio.run(ask())
    return raised.value


@pytest.mark.parametrize("loop", CLOSED)
def test_a_connection_that_was_closed_for_another_task_is_a_store_that_is_away(monkeypatch, loop):
    found = asked(monkeypatch, CLOSED[loop])
    assert isinstance(found, StoreUnavailable)
    assert found.__cause__ is CLOSED[loop]


@pytest.mark.parametrize("error", [AttributeError("'str' object has no attribute 'x'"), RuntimeError("another loop")])
def test_what_is_the_programs_own_stays_what_it_is(monkeypatch, error):
    assert asked(monkeypatch, error) is error


@pytest.mark.parametrize("error", [RedisConnectionError("gone"), *CLOSED.values()])
def test_a_clients_failure_is_said_in_our_words(error):
    with pytest.raises(StoreUnavailable) as raised, in_our_words():
        raise error
    assert raised.value.__cause__ is error


def test_the_programs_own_failure_is_not():
    with pytest.raises(ZeroDivisionError), in_our_words():
        _ = 1 / 0


def test_what_another_server_may_do_is_asked_for_again():
    passing = [
        RedisConnectionError("gone"),
        TryAgainError("x"),
        ResponseError("NOREPLICAS Not enough"),
        *CLOSED.values(),
    ]
    passing.append(ResponseError("ERR Script attempted to access a non local key in a cluster node script: x"))
    assert all(may_pass(error) for error in passing)
    assert not any(may_pass(error) for error in (AuthenticationError("no"), ResponseError("ERR unknown command")))


@pytest.mark.parametrize(
    ("cause", "passes"), [(AuthenticationError("no"), False), (RedisConnectionError("gone"), True)]
)
def test_a_wrong_password_is_wrong_on_every_node_of_a_cluster(cause, passes):
    found = RedisClusterException("Redis Cluster cannot be connected")
    found.__cause__ = cause
    assert may_pass(found) is passes
