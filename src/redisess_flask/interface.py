"""Flask's session interface over an exchange: the session that views see, and what goes out with the response."""

from __future__ import annotations

import logging
import math
import weakref
from abc import ABC
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

import flask.globals
from flask import request
from flask.sessions import SessionInterface, SessionMixin
from markupsafe import Markup

from redisess_core import RedisessError, register_type
from redisess_core.config import check_flag
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
    from werkzeug.local import LocalProxy

    from redisess_core import SessionManager
    from redisess_core.session_state import SessionState
    from redisess_core.web import Found

# Since Flask 3.2 a request's context is the application's, and the older name only warns of that.
_CONTEXT: Final[LocalProxy[object]] = vars(flask.globals).get("request_ctx", flask.globals.app_ctx)
_EXCHANGE: Final = "redisess.exchange"  # its place in a request's environ

_SAFE_IN_PATH: Final = "%!$&'()*+,/:=@"  # a path's characters in a URL, and what is encoded already
_log: Final = logging.getLogger("redisess")


class _HasHtml(ABC):  # noqa: B024  its hook decides, and nobody derives from it
    """Whatever has a form in HTML, `Markup` itself and lazy translations among it: Flask keeps it as `Markup`.

    But not what it keeps as something else before it looks at that.
    """

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        return callable(getattr(other, "__html__", None)) and not issubclass(other, (dict, list, tuple, bytes))


def _html_of(value: Any) -> str:
    return str(value.__html__())


register_type(_HasHtml, "markup", _html_of, cast("Any", Markup))


@dataclass(slots=True)
class State:
    """What one app's extension holds, at `app.extensions["redisess"]`."""

    manager: SessionManager
    header: str | None
    skip: Callable[[Request], bool] | None
    clear_site_data: bool
    _transports: dict[str, Transport] = field(default_factory=dict[str, Transport])

    def __post_init__(self) -> None:
        if self.skip is not None and not callable(self.skip):
            raise TypeError(f"skip: {type(self.skip).__name__} given, a callable of the request or None wanted")
        check_flag("clear_site_data", self.clear_site_data)

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


class FlaskExchange(BlockingExchange):
    """The exchange of a request to *app*."""

    def __init__(self, app: Flask, found: Found, **client: Any) -> None:
        self.app = app
        self._context = weakref.ref(_context())  # it holds the session, which is not to keep it alive
        self.handling_request = False  # or it is of a test client's session_transaction
        super().__init__(state_of(app).manager, found, FlaskSession, **client)

    def is_of_current_context(self) -> bool:
        """Whether the current context is the request's own, and none that was copied from it."""
        return self._context() is _context()

    def tell(self) -> None:
        """Send the signals of what happened, once."""
        if self.outcome.happened:
            happened, self.outcome.happened = self.outcome.happened, []
            signals.send(self.app, happened)


class FlaskSession(RequestSession, SessionMixin):  # type: ignore[override]  # new is found out, not set
    """`flask.session`: the request session of redisess, with what Flask adds."""

    exchange: FlaskExchange
    incidental_keys = frozenset({"_permanent", "_fresh"})  # Flask's, and what Flask-Login puts into every session
    _permanent_once_open: bool | None = None
    _was_permanent: bool | None = None  # before this request set it otherwise

    def start(self, current: SessionState | None) -> None:
        """Begin the request with the session that its token named, and what was wanted before that was known."""
        super().start(current)
        if self._permanent_once_open is not None:
            self.permanent = self._permanent_once_open

    @property
    def permanent(self) -> bool:
        """Whether it lives `PERMANENT_SESSION_LIFETIME`, with a cookie of that age; else the idle timeout."""
        return "_permanent" in self and bool(self["_permanent"])

    @permanent.setter
    def permanent(self, value: bool) -> None:
        if self.exchange.handling_request and not self.opened:  # set for every request, it opens none for a static file
            self._permanent_once_open = bool(value)
            return
        before = self.permanent
        if bool(value) == before:
            return
        if self._was_permanent is None:
            self._was_permanent = before
        self["_permanent"] = bool(value)
        self.wanted_ttl = self.default_ttl() or self.manager.ttl

    def default_ttl(self) -> float | None:
        """Return the ttl of a session that begins here; None: the manager's."""
        return lifetime_of(self.exchange.app) if self.permanent else None

    def rolls(self) -> bool:
        """Whether the session's cookie is sent again: with every response, or as its age is another now."""
        permanent = self.permanent
        if self._was_permanent not in (None, permanent):
            return True
        return permanent and bool(_config(self.exchange.app)["SESSION_REFRESH_EACH_REQUEST"])

    def authenticated_within(self, secs: float) -> bool:
        """Whether the user signed in in the last *secs* seconds, and not by Flask-Login's remember cookie alone."""
        return super().authenticated_within(secs) and self.get("_fresh") is not False


class RedisessInterface(SessionInterface):
    """Reads the token without I/O; the extension's `before_request`, or the first access, opens the session."""

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        """Make the request's session; nothing is sent to Redis yet."""
        transport = state_of(app).transport(self.get_cookie_name(app))
        exchange = FlaskExchange(
            app,
            transport.find(wsgi_headers(request.environ)),
            ip=request.remote_addr,
            user_agent=request.environ.get("HTTP_USER_AGENT"),
        )
        request.environ[_EXCHANGE] = exchange
        return cast("FlaskSession", exchange.session)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store what the request changed, and say in the response what the client is to know."""
        exchange = cast("FlaskSession", session).exchange
        try:
            outcome = exchange.close()
        except Exception as error:
            if not exchange.handling_request:
                raise
            _answer_instead(app, response, error)
            return
        changed = outcome.cookie is not CookieChange.KEEP
        if outcome.accessed or changed:
            self._add_vary(app, exchange, response)
        if changed:
            self._send_cookie(app, exchange, response)
        if outcome.token_shown:
            response.headers["Cache-Control"] = cache_control_for_token(response.headers.get("Cache-Control"))
        if state_of(app).clear_site_data and (cleared := outcome.clear_site_data):
            response.headers["Clear-Site-Data"] = cleared
        exchange.tell()

    def _send_cookie(self, app: Flask, exchange: FlaskExchange, response: Response) -> None:
        current = exchange.session.current
        max_age = None
        if current is not None and cast("FlaskSession", exchange.session).permanent:
            max_age = math.ceil(min(lifetime_of(app), current.ttl or math.inf))
        header = exchange.cookie_header(self.policy(app, secure=request.is_secure), max_age=max_age)
        if header is not None:
            response.headers.add("Set-Cookie", header)

    def _add_vary(self, app: Flask, exchange: FlaskExchange, response: Response) -> None:
        names = state_of(app).transport(self.get_cookie_name(app)).vary(exchange.found.source)
        present = response.headers.getlist("Vary")
        if present:
            response.headers["Vary"] = reduce(merge_vary, names, ", ".join(present))
        else:
            response.headers.add("Vary", ", ".join(names))

    def policy(self, app: Flask, *, secure: bool) -> CookiePolicy:
        """Return how the app's cookie is set now; *secure* for a request that came by https."""
        name, same_site = self.get_cookie_name(app), self.get_cookie_samesite(app)
        partitioned = bool(_config(app).get("SESSION_COOKIE_PARTITIONED"))
        prefixed = name.lower().startswith(("__host-", "__secure-", "__http-"))
        wants_secure = partitioned or prefixed or (same_site or "").lower() == "none"
        return _cookie_policy(
            name=name,
            path=self.get_cookie_path(app) or "/",
            domain=self.get_cookie_domain(app) or None,
            secure=bool(self.get_cookie_secure(app)) or secure or wants_secure,  # browsers refuse it without
            http_only=bool(self.get_cookie_httponly(app)),
            same_site=same_site,
            partitioned=partitioned,
        )


def exchange_of(request: Request) -> FlaskExchange:
    """Return the exchange of a request."""
    return cast("FlaskExchange", request.environ[_EXCHANGE])


def finish(error: BaseException | None) -> None:
    """Carry out a sign-out of a request that raised past every handler: no response stored it."""
    exchange: FlaskExchange | None = request.environ.get(_EXCHANGE)
    if error is None or exchange is None or not exchange.is_of_current_context():
        return
    try:
        exchange.close(failed=True)
    except RedisessError:
        _log.exception("a sign-out could not be carried out")
    exchange.tell()


def lifetime_of(app: Flask) -> float:
    """Return for how many seconds a permanent session lives."""
    lifetime = app.permanent_session_lifetime.total_seconds()
    if lifetime <= 0:
        raise ValueError(f"PERMANENT_SESSION_LIFETIME is {lifetime:g} seconds; wanted more than 0")
    return lifetime


def _config(app: Flask) -> dict[str, Any]:
    return cast("dict[str, Any]", app.config)


def _context() -> object:
    """Return the current context of a request: a copy shares all that it holds, and is another."""
    return _CONTEXT._get_current_object()  # pyright: ignore[reportPrivateUsage]  # Werkzeug documents it


@lru_cache(maxsize=64)
def _cookie_policy(*, path: Any, domain: Any, **attributes: Any) -> CookiePolicy:
    """Return a policy, its path and domain as they are in URLs, like Werkzeug's cookies; it refuses what is neither."""
    if isinstance(path, str) and path.isprintable() and ";" not in path:  # else it is an attack, or a mistake
        path = quote(path, safe=_SAFE_IN_PATH)
    if isinstance(domain, str):
        with suppress(UnicodeError):
            domain = domain.lstrip(".").encode("idna").decode("ascii")
    return CookiePolicy(path=path, domain=domain, **attributes)


def _answer_instead(app: Flask, response: Response, error: Exception) -> None:
    """Turn *response* into the one that the app's error handlers give, or raise *error* if they give none.

    As for any other error, the app's `after_request` functions see that one, too.
    """
    answer = app.process_response(app.make_response(app.handle_user_exception(error)))
    close: Any = getattr(response.response, "close", None)
    if close is not None:  # a file's
        close()
    response.status = answer.status
    response.headers = answer.headers
    response.response = answer.response
    response.direct_passthrough = answer.direct_passthrough
    response.call_on_close(answer.close)
