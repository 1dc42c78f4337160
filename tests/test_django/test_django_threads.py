"""Under ASGI with our middleware no thread is used for session I/O: all of it runs in the request's own loop."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import SyncToAsync
from django.http import JsonResponse
from django.test import AsyncClient
from django.urls import path

from redisess_core.store import Store
from redisess_django import manager
from support.django_project import DJANGOS, OURS


async def nothing(request):
    return JsonResponse({})


async def begin(request):
    await request.session.aset("_auth_user_id", "1")
    return JsonResponse({})


async def read(request):
    return JsonResponse({"user": await request.session.aget("_auth_user_id")})


async def write(request):
    await request.session.aset("visits", await request.session.aget("visits", 0) + 1)
    return JsonResponse({})


async def cycle(request):
    await request.session.acycle_key()
    return JsonResponse({})


async def end(request):
    await request.session.aflush()
    return JsonResponse({})


VIEWS = (begin, read, write, cycle, read, end)
urlpatterns = [path(view.__name__, view) for view in (nothing, *VIEWS)]


@pytest.fixture
def hops(set_up, monkeypatch):
    """Count how often each of several requests goes to a thread, and commands that block: with these middlewares."""
    hops: list[object] = []
    blocking: list[object] = []
    hop, execute = SyncToAsync.__call__, Store.execute
    monkeypatch.setattr(SyncToAsync, "__call__", lambda self, *args, **kw: hops.append(self) or hop(self, *args, **kw))
    monkeypatch.setattr(Store, "execute", lambda self, operation: blocking.append(self) or execute(self, operation))

    def walk(middleware, views):
        set_up(MIDDLEWARE=middleware, ROOT_URLCONF=__name__)
        found = []

        async def requests():
            client = AsyncClient()
            for view in views:
                hops.clear()
                assert (await client.get(f"/{view.__name__}")).status_code == 200
                found.append(len(hops))

        blocking.clear()
        asyncio.run(requests())
        return found, len(blocking)

    return walk


def test_a_request_with_our_sessions_uses_threads_as_little_as_one_without(hops):
    (without,), _ = hops([], [nothing])
    assert hops([OURS], [nothing]) == ([without], 0)
    assert hops([OURS], VIEWS) == ([without] * len(VIEWS), 0)
    assert manager().count() == 0


def test_with_djangos_middleware_each_request_uses_more(hops):
    (without,), _ = hops([], [nothing])
    found, blocking = hops([DJANGOS], VIEWS)
    assert all(each > without for each in found)
    assert blocking > 0
