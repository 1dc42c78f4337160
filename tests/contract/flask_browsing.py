"""The site of the story under Flask."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from browsing import Answer
from flask import Flask, session

from redisess_flask import (
    Redisess,
    current_session,
    end_session,
    login,
    logout,
    logout_everywhere,
    logout_others,
    session_required,
    sessions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redisess_core import SessionManager


def make_app(**options: Any) -> Flask:
    """Make the app; *options* are those of the one table."""
    app = Flask("site")
    app.config.update({f"REDISESS_{name.upper()}": value for name, value in options.items()})
    Redisess(app)

    @app.get("/me")
    def me():
        return {"user": current_session.user_id, "id": current_session.session_id, "data": dict(session)}

    @app.post("/sign-in/<user>")
    def sign_in(user):
        login(user)
        return {}

    @app.post("/token/<user>")
    def token(user):
        login(user, transport="header")
        return {"token": current_session.token}

    @app.post("/sign-out")
    def sign_out():
        logout()
        return {}

    @app.post("/put/<key>/<value>")
    def put(key, value):
        session[key] = value
        return {}

    @app.get("/devices")
    @session_required
    def devices():
        return [{"id": each.session_id, "browser": each.user_agent} for each in sessions()]

    @app.post("/devices/end/<session_id>")
    def end(session_id):
        return {"ended": end_session(session_id)}

    @app.post("/devices/end-others")
    def end_others():
        return {"ended": logout_others()}

    @app.post("/devices/end-all")
    def end_all():
        return {"ended": logout_everywhere()}

    @app.get("/secret")
    @session_required(fresh=60)
    def secret():
        return {}

    return app


class FlaskBrowser:
    def __init__(self, app: Flask, user_agent: str, token: str | None = None) -> None:
        self._client = app.test_client(use_cookies=token is None)
        self._headers = {"User-Agent": user_agent, **({"Authorization": f"Bearer {token}"} if token else {})}
        self._token = token

    @property
    def token(self) -> str | None:
        if self._token:
            return self._token
        cookie = self._client.get_cookie("session")
        return cookie.value if cookie else None

    def _ask(self, method: str, path: str) -> Answer:
        response = self._client.open(path, method=method, headers=self._headers)
        headers = response.headers
        body = response.get_json(silent=True)
        return Answer(response.status_code, body, "Set-Cookie" in headers, headers.get("Retry-After"))

    def me(self) -> Answer:
        return self._ask("GET", "/me")

    def sign_in(self, user: str) -> Answer:
        return self._ask("POST", f"/sign-in/{user}")

    def sign_out(self) -> Answer:
        return self._ask("POST", "/sign-out")

    def put(self, key: str, value: str) -> Answer:
        return self._ask("POST", f"/put/{key}/{value}")

    def devices(self) -> Answer:
        return self._ask("GET", "/devices")

    def end(self, session_id: str) -> Answer:
        return self._ask("POST", f"/devices/end/{session_id}")

    def end_others(self) -> Answer:
        return self._ask("POST", "/devices/end-others")

    def end_all(self) -> Answer:
        return self._ask("POST", "/devices/end-all")

    def secret(self) -> Answer:
        return self._ask("GET", "/secret")


class FlaskSite:
    def __init__(self, app: Flask) -> None:
        self._app = app
        self.manager: SessionManager = app.extensions["redisess"].manager

    def browser(self, user_agent: str = "Firefox") -> FlaskBrowser:
        return FlaskBrowser(self._app, user_agent)

    def header_client(self, user: str) -> FlaskBrowser:
        token = self._app.test_client(use_cookies=False).post(f"/token/{user}").json["token"]
        return FlaskBrowser(self._app, "curl", token)


@contextmanager
def open_site(url: str, **options: Any) -> Iterator[FlaskSite]:
    """Open the site over the Redis of *url*."""
    site = FlaskSite(make_app(url=url, **options))
    with site.manager:
        yield site
