"""The session of the current request, under its own type."""

from __future__ import annotations

from typing import Any, cast

from flask import session
from werkzeug.local import LocalProxy

from redisess_flask.interface import FlaskSession


def _current() -> FlaskSession:
    found = cast("LocalProxy[Any]", session)._get_current_object()  # pyright: ignore[reportPrivateUsage]  # Werkzeug documents it
    if not isinstance(found, FlaskSession):
        raise TypeError("flask.session is not redisess's on this app: call Redisess(app) or init_app(app)")
    return found


current_session: FlaskSession = cast("FlaskSession", LocalProxy(_current))
"""`flask.session` under its own type: a mapping of session data, with `user_id`, `login`, `save` and the rest."""
