"""When sentinels are asked for the primary: each second, and more seldom while nobody answers."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from redisess_core import failover
from redisess_core.failover import Primary


class Client:
    """What is asked about."""


@pytest.fixture
def clock(monkeypatch):
    """Seconds, moved by hand."""
    now = [100.0]
    monkeypatch.setattr(failover.time, "monotonic", lambda: now[0])
    return now


def ask(primary, client, *, answers=True):
    with primary.asking(client):
        if not answers:
            raise RedisConnectionError("away")


def seconds_until_due(primary, client, clock):
    began = clock[0]
    while not primary.is_due(client):
        clock[0] += 0.5
    return clock[0] - began


def test_they_are_asked_at_once_and_then_each_second(clock):
    primary, client = Primary(), Client()
    assert primary.is_due(client)
    for _ in range(3):
        ask(primary, client)
        assert seconds_until_due(primary, client, clock) == 1


def test_they_are_asked_ever_more_seldom_while_nobody_answers_and_then_as_before(clock):
    primary, client, waited = Primary(), Client(), []
    for _ in range(6):
        ask(primary, client, answers=False)
        waited.append(seconds_until_due(primary, client, clock))
    assert waited == [1, 2, 4, 8, 8, 8]
    ask(primary, client)
    assert seconds_until_due(primary, client, clock) == 1
    ask(primary, client, answers=False)
    assert seconds_until_due(primary, client, clock) == 1
