"""Under sentinels: an async pool leaves a former primary at once, though that goes on serving for seconds."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from redisess_core.connect import connect_async
from redisess_core.urls import check_url

FORMER, PRESENT = ("127.0.0.1", 6379), ("127.0.0.1", 6380)


@pytest.mark.anyio
@pytest.mark.parametrize(("address", "closed"), [(FORMER, True), (PRESENT, False)])
async def test_a_connection_in_use_while_another_server_took_over_is_closed_when_it_comes_back(address, closed):
    pool = connect_async(check_url("redis+sentinel://127.0.0.1:26379/main")).connection_pool
    pool.master_address = PRESENT
    connection = pool.get_available_connection()
    connection.host, connection.port = address
    disconnected = []

    async def disconnect(*_args, **_kwargs):
        disconnected.append(connection)

    connection.disconnect = disconnect
    await pool.release(connection)
    assert bool(disconnected) is closed
    assert pool.get_available_connection() is connection


@pytest.mark.anyio
@pytest.mark.parametrize("error", [asyncio.CancelledError(), RedisTimeoutError("it stands still")])
async def test_a_connection_that_is_not_closed_in_peace_comes_back_all_the_same(error):
    pool = connect_async(check_url("redis+sentinel://127.0.0.1:26379/main?max_connections=1")).connection_pool
    pool.master_address = PRESENT
    connection = pool.get_available_connection()
    connection.host, connection.port = FORMER

    async def disconnect(*_args, **_kwargs):
        raise error

    connection.disconnect = disconnect
    with pytest.raises(asyncio.CancelledError) if isinstance(error, asyncio.CancelledError) else nullcontext():
        await pool.release(connection)
    assert pool.get_available_connection() is connection
