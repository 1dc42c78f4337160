"""What the tests of the Flask adapter share: apps on a real server, and a look at their signals."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from site_kit import furnish, manager_of

import redisess_flask
from redisess_flask import Redisess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask.testing import FlaskClient

    from redisess_core import SessionManager
    from support.clock import FakeClock


@pytest.fixture
def bare_app(tmp_path: Path) -> Callable[..., Flask]:
    """Make apps without redisess, with a static file: `bare_app(SESSION_COOKIE_NAME="sid")`."""
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "style.css").write_text("body {}")

    def make(**config: Any) -> Flask:
        app = Flask("site", root_path=str(tmp_path), static_folder="static")
        app.config.update(config)
        return app

    return make


@pytest.fixture
def make_app(redis_url: str, namespace: str, bare_app: Callable[..., Flask]) -> Iterator[Callable[..., Flask]]:
    """Make furnished apps, all in the test's namespace: `make_app(REDISESS_TTL=60)`.

    `before` is called with the app before redisess is set up.
    """
    with ExitStack() as ends:

        def make(before: Callable[[Flask], Any] | None = None, **config: Any) -> Flask:
            app = bare_app(**{"REDISESS_URL": redis_url, "REDISESS_NAMESPACE": namespace, **config})
            if before is not None:
                before(app)
            Redisess(app)
            ends.callback(manager_of(app).close)
            return furnish(app)

        yield make


@pytest.fixture
def app(make_app: Callable[..., Flask], clock: FakeClock) -> Flask:
    """A furnished app with default options that goes by `clock`."""
    return make_app(REDISESS_CLOCK=clock)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser at `app`."""
    return app.test_client()


@pytest.fixture
def sessions(app: Flask) -> SessionManager:
    """The session manager of `app`."""
    return manager_of(app)


@pytest.fixture
def told() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Every signal that was sent, in order, as its name and what it said; `sender` among it."""
    heard: list[tuple[str, dict[str, Any]]] = []
    names = ("session_created", "session_rotated", "session_killed", "session_interrupted")
    with ExitStack() as ends:
        for name in names:

            def hear(sender: Any, name: str = name, **said: Any) -> None:
                heard.append((name, {"sender": sender, **said}))

            ends.enter_context(getattr(redisess_flask, name).connected_to(hear))
        yield heard
