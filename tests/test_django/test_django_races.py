"""Requests at the same time, from threads, on live servers with real sockets: WSGI by threads, ASGI by uvicorn."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import uvicorn
from django.contrib.auth import aget_user, get_user_model, login
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.db import connections
from django.http import JsonResponse

from redisess_django import manager
from redisess_django.sessions import SessionStore
from support.django_project import DJANGOS, OURS
from support.django_site import both
from support.django_site import urlpatterns as site_urls

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 30.0
entered, gate = threading.Event(), threading.Event()


def slow_put(request, key, value):
    """Read the session, wait for the gate, write."""
    request.session.get("seen")
    entered.set()
    assert gate.wait(SECONDS)
    request.session[key] = value
    return JsonResponse({})


def slow_read(request):
    user = request.user.pk
    entered.set()
    assert gate.wait(SECONDS)
    return JsonResponse({"user": user, "cart": request.session.get("cart")})


def sign_in_at_once(request, name):
    login(request, get_user_model().objects.get(username=name), "django.contrib.auth.backends.ModelBackend")
    connections.close_all()
    return JsonResponse({})


async def aslow_put(request, key, value):
    await request.session.aget("seen")
    entered.set()
    assert await asyncio.to_thread(gate.wait, SECONDS)
    await request.session.aset(key, value)
    return JsonResponse({})


async def aslow_read(request):
    user = (await aget_user(request)).pk
    entered.set()
    assert await asyncio.to_thread(gate.wait, SECONDS)
    return JsonResponse({"user": user, "cart": await request.session.aget("cart")})


urlpatterns = [
    *site_urls,
    *both("slow-put/<key>/<value>", slow_put, aslow_put),
    *both("slow-read", slow_read, aslow_read),
    *both("sign-in-at-once/<name>", sign_in_at_once, sign_in_at_once),
]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class Joined(ThreadedWSGIServer):
    daemon_threads = False
    block_on_close = True


@contextmanager
def wsgi() -> Iterator[str]:
    with Joined(("127.0.0.1", 0), Quiet) as server:
        server.set_app(WSGIHandler())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join(SECONDS)


@contextmanager
def asgi() -> Iterator[str]:
    config = uvicorn.Config(ASGIHandler(), port=0, log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/async/"
    finally:
        server.should_exit = True
        thread.join(SECONDS)


@pytest.fixture(params=[OURS, DJANGOS], ids=["ours", "django's"])
def middleware(request):
    return request.param


@pytest.fixture(params=[wsgi, asgi], ids=["wsgi", "asgi"])
def live(set_up, request, middleware, ada, live_options):
    set_up(session_middleware=middleware, ROOT_URLCONF=__name__, touch_interval=0, **live_options)
    entered.clear()
    gate.clear()
    connections.close_all()
    with request.param() as url:
        yield url


@pytest.fixture
def live_options():
    return {}


class Answer(NamedTuple):
    status: int
    body: Any
    cookie: str | None
    """What `Set-Cookie` says of the session, if it does."""


def get(url: str, key: str = "") -> Answer:
    request = urllib.request.Request(url, headers={"Cookie": f"sessionid={key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            status, body, cookies = answer.status, answer.read(), answer.headers.get_all("Set-Cookie") or []
    except urllib.error.HTTPError as error:
        with error:
            status, body, cookies = error.code, b"", error.headers.get_all("Set-Cookie") or []
    (cookie,) = [each.partition(";")[0].partition("=")[2] for each in cookies if each.startswith("sessionid=")] or [
        None
    ]
    return Answer(status, json.loads(body) if status == 200 else None, cookie)


def signed_in(live: str) -> str:
    key = get(f"{live}sign-in/ada").cookie
    assert key
    return key


@contextmanager
def meanwhile(url: str, key: str) -> Iterator[list[Answer]]:
    """Have a request wait in its view for the block; gives its answer, at the end."""
    answers: list[Answer] = []
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(get, url, key)
        try:
            assert entered.wait(SECONDS)
            yield answers
        finally:
            gate.set()
        answers.append(waiting.result(SECONDS))


@pytest.mark.parametrize("how", ["signs out", "is killed", "signs in again"])
def test_a_late_request_does_not_revive_a_session(live, how, ada):
    key = signed_in(live)
    with meanwhile(f"{live}slow-put/cart/tea", key) as late:
        if how == "signs out":
            assert get(f"{live}sign-out", key).status == 200
        elif how == "is killed":
            assert manager().kill(SessionStore(key).session_id)
        else:
            SessionStore(key).cycle_key()
    assert (late[0].status, late[0].cookie) == (400, None)
    assert manager().authenticate(key) is None
    assert manager().count() == (1 if how == "signs in again" else 0)
    assert all("cart" not in manager().get(each).data for each in manager().get_all_sessions())


def test_a_late_request_that_only_reads_leaves_the_cookie_alone(live):
    key = signed_in(live)
    with meanwhile(f"{live}slow-read", key) as late:
        get(f"{live}sign-out", key)
    assert (late[0].status, late[0].cookie) == (200, None)
    assert manager().count() == 0


def test_two_requests_that_change_different_keys_both_win(live):
    key = signed_in(live)
    with meanwhile(f"{live}slow-put/cart/tea", key) as late:
        assert get(f"{live}put/theme/dark", key).status == 200
    assert late[0].status == 200
    assert get(f"{live}me", key).body == {"user": "ada", "data": {"cart": "tea", "theme": "dark"}}


def test_many_requests_that_change_different_keys_all_win(live):
    key = signed_in(live)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: get(f"{live}put/k{n}/{n}", key), range(40)))
    assert {answer.status for answer in answers} == {200}
    assert get(f"{live}me", key).body["data"] == {f"k{n}": str(n) for n in range(40)}


@pytest.mark.parametrize("live_options", [{"max_sessions_per_user": 3}])
def test_sign_ins_at_the_same_time_stay_within_the_limit(live, ada):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(get, [f"{live}sign-in-at-once/ada"] * 24))
    assert {answer.status for answer in answers} == {200}
    assert manager().count_for_user(ada.pk) == 3
