"""A small site that the tests of the Flask adapter visit, and how they read what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flask import current_app, session

from redisess_flask import current_session, login, logout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from flask.testing import FlaskClient

    from redisess_core import SessionManager

UNKNOWN_TOKEN = "1aa" + "a" * 26
"""What has the form of a token, and names no session."""


def furnish(app: Flask) -> Flask:
    """Give *app* the pages that most tests visit."""

    @app.get("/")
    def index():
        return "hello"

    @app.get("/me")
    def me():
        return {"user": current_session.user_id, "id": current_session.session_id, "data": dict(session)}

    @app.post("/set/<key>/<value>")
    def put(key, value):
        session[key] = value
        return "stored"

    @app.post("/pop/<key>")
    def take(key):
        return {"value": session.pop(key, None)}

    @app.post("/login/<user>")
    def sign_in(user):
        login(user)
        return {"id": current_session.session_id}

    @app.post("/logout")
    def sign_out():
        logout()
        return "bye"

    return app


def manager_of(app: Flask) -> SessionManager:
    """Give the session manager of *app*."""
    return app.extensions["redisess"].manager


def kill_current() -> None:
    """End, in a view, the session that the request came with, as somebody else does in another process."""
    assert manager_of(current_app).kill(current_session.session_id)


def token_of(client: FlaskClient, name: str = "session", **where: Any) -> str | None:
    """Give the token that *client* holds in its cookie."""
    cookie = client.get_cookie(name, **where)
    return None if cookie is None else cookie.value


def send_token(token: str, name: str = "session") -> dict[str, str]:
    """Give the headers of a browser that holds *token*."""
    return {"Cookie": f"{name}={token}"}


def visit(app: Flask, path: str, headers: dict[str, str] | None = None, method: str = "GET", **options: Any) -> Any:
    """Visit *path* with these headers, and no cookies but theirs."""
    return app.test_client(use_cookies=False).open(path, method=method, headers=headers, buffered=True, **options)


def bearer(token: str) -> dict[str, str]:
    """Give the headers of a client without cookies that holds *token*."""
    return {"Authorization": f"Bearer {token}"}


class SetCookie(NamedTuple):
    """One `Set-Cookie` header, its attributes' names in lower case; a flag's value is ''."""

    name: str
    value: str
    attributes: dict[str, str]

    @property
    def removes(self) -> bool:
        return (
            not self.value
            and self.attributes["max-age"] == "0"
            and self.attributes["expires"].endswith("1970 00:00:00 GMT")
        )


def cookies_set(response: Any) -> list[SetCookie]:
    """Read every `Set-Cookie` of a response."""
    return list(_parsed(response.headers.getlist("Set-Cookie")))


def _parsed(lines: list[str]) -> Iterator[SetCookie]:
    for line in lines:
        pair, *attributes = line.split("; ")
        name, value = pair.split("=", 1)
        split = (attribute.partition("=") for attribute in attributes)
        yield SetCookie(name, value, {key.lower(): text for key, _, text in split})


def vary_of(response: Any) -> list[str]:
    """Give the members of every `Vary` of a response, in lower case."""
    return [member.strip().lower() for line in response.headers.getlist("Vary") for member in line.split(",")]
