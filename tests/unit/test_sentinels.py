"""Sentinels that many ask at once: all of them stay known, whichever answers."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from redisess_core.connect import connect, connect_async, sentinels_of
from redisess_core.urls import check_url

URL = "redis+sentinel://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/main"
SAID = {
    "main": {
        "ip": "127.0.0.1",
        "port": 6379,
        "is_master": True,
        "is_sdown": False,
        "is_odown": False,
        "num-other-sentinels": 2,
    }
}
MANY = 4


def in_threads():
    """The first sentinel is away; the second lets the others come before it answers."""
    client, asked, all_there = connect(check_url(URL)), [], threading.Event()
    first, second, third = sentinels_of(client)

    def away():
        raise RedisConnectionError("away")

    def answers():
        asked.append(1)
        if len(asked) == MANY:
            all_there.set()
        all_there.wait(0.5)
        return SAID

    first.sentinel_masters, second.sentinel_masters, third.sentinel_masters = away, answers, answers
    with ThreadPoolExecutor(MANY) as pool:
        found = list(pool.map(lambda _: client.connection_pool.get_master_address(), range(MANY)))
    return {first, second, third}, set(sentinels_of(client)), set(found)


async def in_tasks():
    """The same for tasks."""
    client = connect_async(check_url(URL))
    first, second, third = sentinels_of(client)

    async def away():
        raise RedisConnectionError("away")

    async def answers():
        for _ in range(MANY):
            await asyncio.sleep(0)
        return SAID

    first.sentinel_masters, second.sentinel_masters, third.sentinel_masters = away, answers, answers
    found = await asyncio.gather(*[client.connection_pool.get_master_address() for _ in range(MANY)])
    return {first, second, third}, set(sentinels_of(client)), set(found)


@pytest.mark.parametrize("ask", [in_threads, lambda: asyncio.run(in_tasks())], ids=["threads", "tasks"])
def test_none_is_forgotten(ask):
    all_of_them, known, found = ask()
    assert known == all_of_them
    assert found == {("127.0.0.1", 6379)}
