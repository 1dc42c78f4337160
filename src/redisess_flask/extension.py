"""The Flask extension: `Redisess(app)`, or `init_app(app)` for each of several apps."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from flask import current_app, request
from werkzeug.exceptions import HTTPException, ServiceUnavailable, default_exceptions

from redisess_core import SessionManager, StoreUnavailable
from redisess_core.web import MANAGER_OPTIONS, OPTIONS, REFUSALS, refusal_of
from redisess_flask import cli, flask_login_support
from redisess_flask.interface import RedisessInterface, State, exchange_of, finish, lifetime_of

if TYPE_CHECKING:
    from flask import Flask, Request
    from flask.typing import ResponseReturnValue
    from werkzeug.local import LocalProxy

    from redisess_core import RedisessError
    from redisess_core.web import Refusal

_PREFIX: Final = "REDISESS_"
_log: Final = logging.getLogger("redisess")


class Redisess:
    """Makes the sessions of redisess those of a Flask app; what it knows of an app is in `app.extensions`.

    Configuration: `REDISESS_URL` or `REDISESS_CLIENT`, one `REDISESS_` key for each option of a manager, and
    `REDISESS_HEADER`, `REDISESS_SKIP`, `REDISESS_CLEAR_SITE_DATA`; Flask's own `SESSION_COOKIE_*`,
    `PERMANENT_SESSION_LIFETIME` and `SESSION_REFRESH_EACH_REQUEST`, read when a response is made.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set *app* up. Wrong configuration raises here; nothing is sent to Redis before the first request."""
        if "redisess" in app.extensions:
            raise RuntimeError("redisess is set up on this app already")
        settings = _settings(app)
        client = settings["url"] if settings["client"] is None else settings["client"]
        if client is None:
            raise TypeError("REDISESS_URL: None given, a URL wanted, or a client as REDISESS_CLIENT")
        manager = SessionManager(
            client,
            **{option.name: settings[option.name] for option in MANAGER_OPTIONS},
        )
        state = State(manager, settings["header"], settings["skip"], settings["clear_site_data"])
        interface = RedisessInterface()
        state.transport(interface.get_cookie_name(app))  # a header, a cookie, a lifetime
        interface.policy(app, secure=True)  # that cannot be one
        lifetime_of(app)  # is found now
        app.extensions["redisess"] = state
        app.session_interface = interface
        app.before_request_funcs.setdefault(None, []).insert(0, partial(_open, state))
        app.teardown_request_funcs.setdefault(None, []).append(finish)
        for error in REFUSALS:
            if error not in app.error_handler_spec[None][None]:
                app.register_error_handler(error, _refused)
        app.cli.add_command(cli.sessions)
        flask_login_support.connect()


def _settings(app: Flask) -> dict[str, Any]:
    config = cast("dict[str, Any]", app.config)
    known = {_PREFIX + option.name.upper(): option for option in OPTIONS}
    unknown = sorted(key for key in config if key.startswith(_PREFIX) and key not in known)
    if unknown:
        raise ValueError(f"configuration: {', '.join(unknown)} given; known are {', '.join(known)}")
    return {option.name: config.get(key, option.default) for key, option in known.items()}


def _open(state: State) -> None:
    """Open the session when the endpoint is known, so that errors reach the app's handlers."""
    current = cast("LocalProxy[Request]", request)._get_current_object()  # pyright: ignore[reportPrivateUsage]  # Werkzeug documents it
    exchange = exchange_of(current)
    exchange.handling_request = True
    endpoint = current.endpoint or ""
    if endpoint == "static" or endpoint.endswith(".static"):
        return
    if state.skip is None or not state.skip(current):
        exchange.open_late()


def _refused(error: RedisessError) -> ResponseReturnValue:
    if isinstance(error, StoreUnavailable):
        _log.error("answered with 503: %s", error)
    return _give_way(error, _http_error(cast("Refusal", refusal_of(error))))


def _http_error(refusal: Refusal) -> HTTPException:
    if refusal.retry_after is not None:
        return ServiceUnavailable(refusal.detail, retry_after=refusal.retry_after)
    return default_exceptions[refusal.status](refusal.detail)


def _give_way(error: Exception, otherwise: HTTPException) -> ResponseReturnValue:
    """Answer as the app's handler of a broader exception does, else with *otherwise*, whose code it may handle."""
    handlers = [current_app.error_handler_spec[name][None] for name in (*request.blueprints, None)]
    for handled in type(error).__mro__[1:]:
        for known in handlers:
            if handled in known:
                answer: ResponseReturnValue = current_app.ensure_sync(known[handled])(error)
                return answer
    return current_app.handle_http_exception(otherwise)
