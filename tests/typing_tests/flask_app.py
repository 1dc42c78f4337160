"""The types of the Flask adapter as users write them: checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type
from uuid import UUID

import redis
from flask import Flask, session
from flask.typing import ResponseReturnValue

from redisess_core import Session, SessionDataTooLarge, SessionGone, SessionLimitReached, SessionManager
from redisess_flask import (
    FlaskSession,
    Redisess,
    current_session,
    end_session,
    kill_user,
    login,
    logout,
    logout_everywhere,
    logout_others,
    manager,
    session_created,
    session_interrupted,
    session_killed,
    session_required,
    session_rotated,
    sessions,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

extension = Redisess()


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["REDISESS_CLIENT"] = redis.Redis()
    extension.init_app(app)
    Redisess(app)
    Redisess("app")  # type: ignore[arg-type]
    return app


app = create_app()


@app.get("/")
def index() -> str:
    assert_type(current_session, FlaskSession)
    assert_type(current_session.user_id, str | None)
    assert_type(current_session.session_id, str | None)
    assert_type(current_session.token, str | None)
    assert_type(current_session.created, float | None)
    assert_type(current_session.authenticated_at, float | None)
    assert_type(current_session.last_access, float | None)
    assert_type(current_session.expires_in, float | None)
    assert_type(current_session.idle, float)
    assert_type(current_session.fields, dict[str, Any])
    assert_type(current_session.new, bool)
    assert_type(current_session.modified, bool)
    assert_type(current_session.accessed, bool)
    assert_type(current_session.permanent, bool)
    return current_session.user_id or "nobody"


@app.get("/data")
def data() -> dict[str, Any]:
    current_session["cart"] = ["tea"]
    session["cart"] = ["tea"]
    assert_type(current_session["cart"], Any)
    assert_type(current_session.get("cart"), Any | None)
    assert_type(len(current_session), int)
    assert_type("cart" in current_session, bool)
    for key in current_session:
        assert_type(key, str)
    current_session.update(a=1)
    current_session.pop("a", None)
    current_session.permanent = True
    current_session.modified = True
    current_session.clear()
    current_session[5] = 1  # type: ignore[index]
    return dict(current_session)


@app.post("/enter")
def enter() -> tuple[str, int]:
    login("ada")
    login(7, ttl=60.5, transport="header", role="admin")
    login(UUID(int=7), transport=None)
    current_session.login("ada", ttl=60, transport="cookie", role="admin")
    login(None)  # type: ignore[arg-type]
    login("ada", ttl="60")  # type: ignore[arg-type]
    login("ada", transport="url")  # type: ignore[arg-type]
    try:
        assert_type(current_session.save(), None)
    except SessionLimitReached as refused:
        return f"{refused.user_id} {refused.limit}", 403
    except (SessionDataTooLarge, SessionGone):
        return "", 400
    return "", 204


@app.post("/leave")
def leave() -> str:
    assert_type(logout(), None)
    assert_type(current_session.logout(), None)
    assert_type(current_session.rotate(), None)
    assert_type(current_session.touch(), None)
    return ""


@app.post("/devices")
def devices() -> str:
    assert_type(sessions(), list[Session])
    assert_type(end_session("id"), bool)
    assert_type(current_session.end_session("id"), bool)
    assert_type(logout_others(), int)
    assert_type(current_session.logout_others(), int)
    assert_type(logout_everywhere(), int)
    assert_type(kill_user("ada"), int)
    assert_type(kill_user(7, keep=["a", "b"]), int)
    assert_type(kill_user(7, keep="a"), int)
    assert_type(manager(), SessionManager)
    assert_type(manager().count(secs=60), int)
    for each in sessions():
        assert_type(each.user_agent, str | None)
    end_session(5)  # type: ignore[arg-type]
    return ""


# A guarded view keeps its type.


@app.get("/secret/<int:number>")
@session_required
def secret(number: int) -> str:
    return "x" * number


@app.get("/fresh/<name>")
@session_required(fresh=300)
def fresh(name: str, *, loud: bool = False) -> dict[str, str]:
    return {"name": name.upper() if loud else name}


@app.get("/called")
@session_required()
def called() -> ResponseReturnValue:
    return "", 204


@app.get("/async")
@session_required
async def asynchronous(number: int = 1) -> str:
    return "x" * number


def guarded() -> None:
    assert_type(secret(5), str)
    assert_type(fresh("ada", loud=True), dict[str, str])
    plain: Callable[[int], str] = secret
    assert_type(plain(1), str)
    assert_type(called(), ResponseReturnValue)
    awaited: Callable[[int], Awaitable[str]] = asynchronous
    app.add_url_rule("/too", view_func=app.ensure_sync(awaited))
    secret("5")  # type: ignore[arg-type]
    fresh("ada", True)  # type: ignore[call-arg]
    session_required(fresh="60")  # type: ignore[call-overload]


def on_created(sender: Flask, session_id: str, user_id: str | None, **_: object) -> None:
    sender.logger.info("%s %s", session_id, user_id)


def listen() -> None:
    for signal in (session_created, session_rotated, session_killed, session_interrupted):
        signal.connect(on_created)
        signal.connect(on_created, sender=app)
