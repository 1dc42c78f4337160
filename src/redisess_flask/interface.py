"""Flask's session interface over an exchange: the session that views see, and what goes out with the response."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from flask import current_app, request
from flask.sessions import SessionInterface, SessionMixin

from redisess_core.web import (
    BlockingExchange,
    CookieChange,
    CookiePolicy,
    RequestSession,
    Transport,
    cache_control_for_token,
    is_token_of,
    merge_vary,
    wsgi_headers,
)
from redisess_flask import signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Request, Response

    from redisess_core import SessionManager

_EXCHANGE: Final = "redisess.exchange"  # its place in a request's environ


@dataclass(slots=True)
class State:
    """What one app's extension holds, at `app.extensions["redisess"]`."""

    manager: SessionManager
    header: str | None
    skip: Callable[[Request], bool] | None
    clear_site_data: bool
    _transports: dict[str, Transport] = field(default_factory=dict[str, Transport])

    def transport(self, cookie_name: str) -> Transport:
        """Return the transport for the cookie's name, which Flask lets change at any time."""
        found = self._transports.get(cookie_name)
        if found is None:
            found = self._transports[cookie_name] = Transport(is_token_of(self.manager), cookie_name, self.header)
        return found


def state_of(app: Flask) -> State:
    """Return the extension's state in *app*."""
    try:
        return cast("State", app.extensions["redisess"])
    except KeyError:
        raise RuntimeError("redisess is not set up on this app: call Redisess(app) or init_app(app)") from None


class FlaskSession(RequestSession, SessionMixin):  # type: ignore[override]  # new is found out, not set
    """`flask.session`: the request session of redisess, with what Flask adds."""

    incidental_keys = frozenset({"_permanent"})

    @property
    def permanent(self) -> bool:
        """Whether it lives `PERMANENT_SESSION_LIFETIME`, with a cookie of that age; else the idle timeout."""
        return "_permanent" in self and bool(self["_permanent"])

    @permanent.setter
    def permanent(self, value: bool) -> None:
        if bool(value) == self.permanent:
            return
        self["_permanent"] = bool(value)
        self.wanted_ttl = self.default_ttl() or self.manager.ttl

    def default_ttl(self) -> float | None:
        """Return the ttl of a session that begins here; None: the manager's."""
        return current_app.permanent_session_lifetime.total_seconds() if self.permanent else None


class RedisessInterface(SessionInterface):
    """Reads the token without I/O; the extension's `before_request`, or the first access, opens the session."""

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        """Make the request's session; nothing is sent to Redis yet."""
        state = state_of(app)
        exchange = BlockingExchange(
            state.manager,
            state.transport(self.get_cookie_name(app)).find(wsgi_headers(request.environ)),
            FlaskSession,
            ip=request.remote_addr,
            user_agent=request.environ.get("HTTP_USER_AGENT"),
        )
        request.environ[_EXCHANGE] = exchange
        return cast("FlaskSession", exchange.session)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store what the request changed, and say in the response what the client is to know."""
        exchange = cast("BlockingExchange", cast("FlaskSession", session).exchange)
        try:
            outcome = exchange.close()
        except Exception as error:
            if not exchange.handling_request:  # of a test client's session_transaction
                raise
            _answer_instead(app, response, error)
            self._add_vary(app, exchange, response)
            return
        if outcome.accessed:
            self._add_vary(app, exchange, response)
        self._send_cookie(app, exchange, response)
        if outcome.signed_out and state_of(app).clear_site_data:
            response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
        happened, outcome.happened = outcome.happened, []
        signals.send(app, happened)

    def _send_cookie(self, app: Flask, exchange: BlockingExchange, response: Response) -> None:
        session, config = cast("FlaskSession", exchange.session), cast("dict[str, Any]", app.config)
        permanent = exchange.cookie_can_roll and session.permanent
        rolling = permanent and bool(config["SESSION_REFRESH_EACH_REQUEST"])
        if rolling or exchange.outcome.cookie is not CookieChange.KEEP:
            lifetime = int(app.permanent_session_lifetime.total_seconds()) if permanent else None
            header = exchange.cookie_header(self._policy(app), max_age=lifetime, rolling=rolling)
            if header is not None:
                response.headers.add("Set-Cookie", header)
        if exchange.outcome.token_shown:
            response.headers["Cache-Control"] = cache_control_for_token(response.headers.get("Cache-Control"))

    def _add_vary(self, app: Flask, exchange: BlockingExchange, response: Response) -> None:
        vary = ", ".join(response.headers.getlist("Vary"))
        for name in state_of(app).transport(self.get_cookie_name(app)).vary(exchange.found.source):
            vary = merge_vary(vary, name)
        response.headers["Vary"] = vary

    def _policy(self, app: Flask) -> CookiePolicy:
        return _cookie_policy(
            name=self.get_cookie_name(app),
            path=self.get_cookie_path(app),
            domain=self.get_cookie_domain(app),
            secure=bool(self.get_cookie_secure(app)) or request.is_secure,
            http_only=bool(self.get_cookie_httponly(app)),
            same_site=self.get_cookie_samesite(app),
            partitioned=bool(cast("dict[str, Any]", app.config).get("SESSION_COOKIE_PARTITIONED")),
        )


def exchange_of(request: Request) -> BlockingExchange:
    """Return the exchange of a request."""
    return cast("BlockingExchange", request.environ[_EXCHANGE])


_cookie_policy: Final[Callable[..., CookiePolicy]] = lru_cache(maxsize=64)(CookiePolicy)


def _answer_instead(app: Flask, response: Response, error: Exception) -> None:
    """Turn *response* into the one that the app's error handlers give, or raise *error* if they give none."""
    answer = app.make_response(app.handle_user_exception(error))
    response.status = answer.status
    response.headers.clear()
    response.headers.extend(answer.headers)
    response.direct_passthrough = False
    response.set_data(answer.get_data())
