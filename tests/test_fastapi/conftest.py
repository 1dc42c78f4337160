"""What the tests of FastAPI's dependencies share: apps on a real server, and browsers at them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from fastapi_kit import bare_app, browser, furnish

from redisess_core import SessionManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from support.clock import FakeClock


@pytest.fixture
def make_app(redis_url: str, namespace: str, clock: FakeClock) -> Callable[..., FastAPI]:
    """Make apps with nothing but the middleware, all in the test's namespace, going by `clock`."""

    def make(url: str = redis_url, **options: Any) -> FastAPI:
        return bare_app(url, **{"namespace": namespace, "clock": clock, **options})

    return make


@pytest.fixture
def visit() -> Iterator[Callable[..., TestClient]]:
    """Open browsers at apps, whose lifespans run until the test's end."""
    with ExitStack() as ends:
        yield lambda app, **options: ends.enter_context(browser(app, **options))


@pytest.fixture
def app(make_app: Callable[..., FastAPI]) -> FastAPI:
    """A bare app, for a test to add its endpoints to."""
    return make_app()


@pytest.fixture
def client(app: FastAPI, visit: Callable[..., TestClient]) -> TestClient:
    """A browser at the furnished `app`."""
    return visit(furnish(app))


@pytest.fixture
def sessions(redis_url: str, namespace: str, clock: FakeClock) -> Iterator[SessionManager]:
    """What an administrator has: a manager of the same namespace."""
    with SessionManager(redis_url, namespace=namespace, clock=clock) as manager:
        yield manager
