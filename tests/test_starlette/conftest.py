"""What the tests of the Starlette adapter share: apps on a real server, browsers, and a look at what is stored."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient
from starlette_kit import SITE, site

from redisess_core import AsyncSessionManager, SessionManager
from support.server import patient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

    from support.clock import FakeClock


@pytest.fixture
def make_app(redis_url: str, namespace: str) -> Callable[..., Starlette]:
    """Make furnished apps, all in the test's namespace: `make_app(ttl=60, store=..., inside=[...])`."""

    url = patient(redis_url)

    def make(store: Any = url, **options: Any) -> Starlette:
        if not isinstance(store, AsyncSessionManager):
            options.setdefault("namespace", namespace)
        return site(store, **options)

    return make


@pytest.fixture
def app(make_app: Callable[..., Starlette], clock: FakeClock) -> Starlette:
    """A furnished app with default options that goes by `clock`."""
    return make_app(clock=clock)


@pytest.fixture
def browse() -> Iterator[Callable[..., TestClient]]:
    """Open browsers at apps, which live until the test's end: `browse(app)`."""
    with ExitStack() as ends:
        yield lambda app, **options: ends.enter_context(TestClient(app, SITE, **options))


@pytest.fixture
def client(browse: Callable[..., TestClient], app: Starlette) -> TestClient:
    """A browser at `app`."""
    return browse(app)


@pytest.fixture
def look(redis_url: str, namespace: str) -> Iterator[Callable[..., SessionManager]]:
    """Look at what apps store: `look(clock=clock)` is a manager of the test's namespace, in blocking colour."""
    with ExitStack() as ends:
        yield lambda **options: ends.enter_context(
            SessionManager(patient(redis_url), **{"namespace": namespace, **options})
        )


@pytest.fixture
def sessions(look: Callable[..., SessionManager], clock: FakeClock) -> SessionManager:
    """What `app` stores."""
    return look(clock=clock)
