"""Flask-Login: whoever it signs in or out, the session follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import current_app

from redisess_flask.current import current_session

if TYPE_CHECKING:
    from flask import Flask

_ITS_KEYS: Final = ("_user_id", "_fresh", "_id", "_remember", "_remember_seconds")


def connect() -> None:
    """Listen to Flask-Login's signals, where it is installed."""
    flask_login = _installed()
    if flask_login is None:
        return
    flask_login.user_logged_in.connect(_sign_in)
    flask_login.user_loaded_from_cookie.connect(_sign_in)
    flask_login.user_login_confirmed.connect(_sign_in)
    flask_login.user_logged_out.connect(_sign_out)
    flask_login.session_protected.connect(_protect)


def load_user() -> None:
    """Let Flask-Login look for the request's user, where the app has it: a remember-me cookie of its own signs in."""
    flask_login = _installed()
    if flask_login is not None and isinstance(getattr(current_app, "login_manager", None), flask_login.LoginManager):
        bool(flask_login.current_user)  # it looks when it is asked for


def _installed() -> Any:
    try:
        import flask_login  # type: ignore[import-untyped]  # noqa: PLC0415  only where it is installed
    except ImportError:
        return None
    return flask_login


def _sign_in(app: Flask, **_: Any) -> None:
    if "redisess" in app.extensions:
        kept = _its_data()
        if "_user_id" in kept:
            current_session.login(kept["_user_id"])
            current_session.update(kept)


def _sign_out(app: Flask, **_: Any) -> None:
    if "redisess" in app.extensions:
        kept = _its_data()
        current_session.logout()
        current_session.update(kept)


def _protect(app: Flask, **_: Any) -> None:
    """Sign out where Flask-Login's strong protection has taken the user out of the session."""
    if "redisess" in app.extensions and current_session.user_id is not None and "_user_id" not in current_session:
        _sign_out(app)


def _its_data() -> dict[str, Any]:
    """Return what Flask-Login itself keeps in the session: it goes with whoever is signed in now."""
    return {key: current_session[key] for key in _ITS_KEYS if key in current_session}
