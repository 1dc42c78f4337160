"""Requests that are cancelled, by a scope of anyio's or by asyncio itself, while their end is being stored."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import anyio
import pytest
from starlette_kit import no_more, scope_of, send_token, serves

from redisess_core import AsyncSessionManager, StoreUnavailable
from redisess_starlette import logout

pytestmark = pytest.mark.anyio

SECONDS = 20


@pytest.fixture
async def slow(redis_url, namespace, make_app, sessions):
    """An app whose Redis answers, from `slow.down()` on, only after `slow.on.set()`."""
    async with AsyncSessionManager(redis_url, namespace=namespace, clock=sessions.clock) as manager:
        execute, waiting, on = manager.store.execute, asyncio.Event(), asyncio.Event()

        async def later(operation):
            waiting.set()
            await on.wait()
            return await execute(operation)

        def down():
            manager.store.execute = later

        yield SimpleNamespace(app=make_app(manager), manager=manager, down=down, waiting=waiting, on=on)


async def visit_and_be_cancelled(slow, token, by):
    """Visit "/", and be cancelled while Redis is slow; returns what the server was sent."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = anyio.CancelScope()

    async def serve():
        with scope:
            await slow.app(scope_of("/", send_token(token)), no_more, send)

    with anyio.fail_after(SECONDS):
        task = asyncio.ensure_future(serve())
        await slow.waiting.wait()
        (task if by == "asyncio" else scope).cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        slow.on.set()
        await asyncio.wait([task])
    assert task.cancelled() or by == "anyio"
    return sent


@pytest.fixture
def token(sessions):
    return sessions.create("ada", data={"a": 1}).token


BY = pytest.mark.parametrize("by", ["asyncio", "anyio"])


@BY
async def test_a_change_is_stored_though_the_request_is_cancelled(slow, sessions, token, by):
    def view(request):
        request.session["b"] = 2
        slow.down()
        return "done"

    serves(slow.app, view)
    await visit_and_be_cancelled(slow, token, by)
    assert sessions.authenticate(token).data == {"a": 1, "b": 2}


@BY
@pytest.mark.parametrize("raising", [False, True])
async def test_a_sign_out_is_carried_out_though_the_request_is_cancelled(slow, sessions, token, by, raising):
    def view(request):
        logout(request)
        slow.down()
        if raising:
            raise ZeroDivisionError
        return "done"

    serves(slow.app, view)
    await visit_and_be_cancelled(slow, token, by)
    assert sessions.authenticate(token) is None


@BY
async def test_a_sign_out_of_a_view_that_is_cancelled_itself_is_carried_out(slow, sessions, token, by):
    async def view(request):
        logout(request)
        slow.waiting.set()
        await asyncio.Event().wait()

    serves(slow.app, view)
    await visit_and_be_cancelled(slow, token, by)
    assert sessions.authenticate(token) is None


async def test_what_a_cancelled_request_could_not_store_is_logged(slow, token, caplog):
    async def pulled(operation):
        slow.waiting.set()
        await slow.on.wait()
        raise StoreUnavailable("pulled")

    def view(request):
        request.session["b"] = 2
        slow.manager.store.execute = pulled
        return "done"

    serves(slow.app, view)
    assert await visit_and_be_cancelled(slow, token, "asyncio") == []
    assert "what it had to store was not stored: pulled" in caplog.text
