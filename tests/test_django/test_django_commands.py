"""How many commands a request sends to Redis, in WSGI and in ASGI, with our middleware and with Django's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.django_project import DJANGOS, OURS


class Browser:
    """A client with a cookie of its own; every call is one request."""

    def __init__(self, colour: str) -> None:
        from django.test import AsyncClient, Client

        self._colour = colour
        self.client: Any = Client() if colour == "blocking" else AsyncClient()

    def get(self, path: str, **options: Any) -> Any:
        if self._colour == "blocking":
            return self.client.get(f"/{path}", **options)
        return asyncio.run(self.client.get(f"/async/{path}", **options))


@pytest.fixture(params=[OURS, DJANGOS], ids=["ours", "django's"])
def middleware(request):
    return request.param


@pytest.fixture
def browser(set_up, middleware, colour, ada, bob):
    set_up(session_middleware=middleware)
    browser = Browser(colour)
    for path in (
        "put/a/b",
        "put/a/c",
        "sign-in/ada",
        "sign-in/ada",
        "switch/bob",
        "sign-out",
    ):  # every script is known now
        assert browser.get(path).status_code == 200
    return browser


@pytest.fixture
def commands(browser, wire):
    def commands(path):
        with wire() as seen:
            assert browser.get(path).status_code == 200
        assert set(seen.names) <= {"EVALSHA"}
        return len(seen.names)

    return commands


def test_each_request_sends_the_fewest(commands, middleware):
    assert commands("untouched") == commands("me") == 0
    assert commands("sign-in/ada") == (1 if middleware == OURS else 2)
    assert commands("me") == 1
    assert commands("put/a/c") == 2
    assert commands("append/list/one") == commands("append/list/two") == 2
    assert commands("sign-in/ada") == 2
    assert commands("sign-out") == 2
    assert commands("put/a/b") == 1
    assert commands("sign-in/ada") == (2 if middleware == OURS else 3)
    assert commands("untouched") == (1 if middleware == OURS else 0)
