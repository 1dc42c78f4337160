"""The session middleware: Django's own, made natively async, with a touch, a new key at every sign-in, and the header.

A request's way: the token is found, its session opened (one round trip); the view; what it changed is saved (at most
one); the response says what the client is to know.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware as DjangosMiddleware
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpResponse
from django.template import TemplateDoesNotExist, loader
from django.utils.functional import cached_property
from django.utils.http import http_date

from redisess_core import SessionGone, SessionLimitReached, StoreUnavailable
from redisess_core.web import (
    CookieChange,
    Found,
    Outcome,
    Source,
    Transport,
    cache_control_for_token,
    is_token_of,
    merge_vary,
    refusal_of,
    wsgi_headers,
    wsgi_name,
)
from redisess_django.conf import manager, option
from redisess_django.migrate import is_former
from redisess_django.sessions import SessionStore
from redisess_django.state import Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from redisess_core import RedisessError, SessionManager

_FOUND: Final = "redisess.found"  # its place in a request's META
_NOTHING_FOUND: Final = Found(None, Source.NONE, cookie_present=False), ("Cookie",)
_INTERRUPTED: Final = (
    "The request's session was deleted before the request completed. "
    "The user may have logged out in a concurrent request, for example."
)
_log: Final = logging.getLogger("redisess")


class SessionMiddleware(DjangosMiddleware):
    """Gives each request its session; in place of `django.contrib.sessions.middleware.SessionMiddleware`."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if not issubclass(self.SessionStore, SessionStore):
            raise ImproperlyConfigured(
                f"SESSION_ENGINE: {settings.SESSION_ENGINE!r} given, this middleware wants redisess_django.sessions"
            )
        self._respond = get_response

    def __call__(self, request: HttpRequest) -> Any:
        """Answer a request: as a coroutine where what is inside is async."""
        if self.async_mode:
            return self._answer(request)
        response = self.process_request(request)
        return self.process_response(request, self._respond(request)) if response is None else response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        store = self._begin(request)
        try:
            if self._opens(request, store):
                await store.aopen()
                self._opened(request, store)
        except StoreUnavailable as error:
            return _unavailable(error)
        response: HttpResponseBase = await self._respond(request)
        store = getattr(request, "session", None)
        if store is None:
            return response
        ending = _Ending(request, response, store)
        try:
            if ending.signs_out:
                await store.aflush()
            elif ending.saves:
                await store.asave()
        except (UpdateError, SessionLimitReached, StoreUnavailable) as error:
            return ending.give_up(error)
        return ending.finish()

    def process_request(self, request: HttpRequest) -> HttpResponseBase | None:  # type: ignore[override]
        """Find the request's token, and open its session."""
        store = self._begin(request)
        try:
            if self._opens(request, store):
                store.open()
                self._opened(request, store)
        except StoreUnavailable as error:
            return _unavailable(error)
        return None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:  # type: ignore[override]
        """Save what the request changed, and say in the response what the client is to know."""
        store = getattr(request, "session", None)
        if store is None:
            return response
        ending = _Ending(request, response, store)
        try:
            if ending.signs_out:
                store.flush()
            elif ending.saves:
                store.save()
        except (UpdateError, SessionLimitReached, StoreUnavailable) as error:
            return ending.give_up(error)
        return ending.finish()

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:  # noqa: ARG002  Django's signature
        """Answer what the session made a view raise, where no middleware of the application's did."""
        if isinstance(exception, (StoreUnavailable, SessionLimitReached, SessionGone, UpdateError)):
            return _refused(exception)
        return None

    def _begin(self, request: HttpRequest) -> Any:
        transport = _transport()
        found = _find(request, transport)
        request.META[_FOUND] = found, transport.vary(found.source)
        key = found.token
        if key is None and option("MIGRATE_FROM"):
            key = Transport(is_former, settings.SESSION_COOKIE_NAME, None).find(wsgi_headers(request.META)).token
        store: Any = self.SessionStore(key)
        store.in_request = True
        store.ip, store.user_agent = request.META.get("REMOTE_ADDR"), request.META.get("HTTP_USER_AGENT")
        request.session = store
        if found.source is Source.HEADER:
            store.transport = "header"
            name = wsgi_name(transport.header or "")
            request.META[name] = Key(request.META[name])  # reports of errors show it
        return store

    def _opens(self, request: HttpRequest, store: Any) -> bool:
        """Whether the session is opened before the view, and touched: not where that is known to need none."""
        if store.session_key is None:
            return False
        static = urlsplit(settings.STATIC_URL or "")
        if not static.netloc and len(static.path) > 1 and request.path.startswith(static.path):
            return False
        skip = option("SKIP")
        return skip is None or not skip(request)

    def _opened(self, request: HttpRequest, store: Any) -> None:
        if store.transport == "header" and store.state is not None:
            cast("Any", request)._dont_enforce_csrf_checks = True  # as DRF does: no browser sends that by itself


class _Ending:
    """What becomes of a request's session at the end, and what its response says of it."""

    def __init__(self, request: HttpRequest, response: HttpResponseBase, store: Any) -> None:
        self.request, self.response, self.store = request, response, store
        self.accessed = store.accessed
        self.found, self.vary = request.META.get(_FOUND, _NOTHING_FOUND)
        rolls = settings.SESSION_SAVE_EVERY_REQUEST and "_session_cache" in vars(store)  # where it was opened
        failed = response.status_code >= 500
        self.saves = (store.modified or rolls) and not failed and not store.is_empty()
        self.signs_out = getattr(store, "signs_out" if failed else "leaves_nothing", False)  # also where a view fails
        self.by_header = getattr(store, "transport", None) == "header"
        self.only_renews = self.saves and not self.by_header and getattr(store, "only_renews", False)

    def give_up(self, error: Exception) -> HttpResponseBase:
        """Answer what the store refused, in place of the response."""
        if self.only_renews and isinstance(error, UpdateError):
            self.saves = False  # a request beside this one was first
            return self.finish()
        for closer in cast("Any", self.response)._resource_closers:  # close() would also end the request
            closer()
        return _refused(error)

    def finish(self) -> HttpResponseBase:
        """Write the headers."""
        response, store = self.response, self.store
        key: str | None = store.session_key if self.saves else None
        signed_out = getattr(store, "flushed", False)
        if key is not None and not self.by_header:
            self._set_cookie(key)
        elif key is None and signed_out and settings.SESSION_COOKIE_NAME in self.request.COOKIES and not self.by_header:
            response.delete_cookie(
                settings.SESSION_COOKIE_NAME,
                path=settings.SESSION_COOKIE_PATH,
                domain=settings.SESSION_COOKIE_DOMAIN,
                samesite=settings.SESSION_COOKIE_SAMESITE,
            )
        if self.accessed or settings.SESSION_COOKIE_NAME in response.cookies:
            self._add_vary()
        if key is not None and not (self.by_header and key == self.found.token):
            response.headers["Cache-Control"] = cache_control_for_token(response.headers.get("Cache-Control"))
        if signed_out and option("CLEAR_SITE_DATA"):
            cookie = CookieChange.REMOVE if key is None else CookieChange.SET
            response.headers["Clear-Site-Data"] = Outcome(cookie, signed_out=True).clear_site_data or ""
        store.closed = response.streaming
        return response

    def _set_cookie(self, key: str) -> None:
        max_age = expires = None
        if not self.store.get_expire_at_browser_close():
            max_age = self.store.get_expiry_age()
            expires = http_date(time.time() + max_age)
        self.response.set_cookie(
            settings.SESSION_COOKIE_NAME,
            key,
            max_age=max_age,
            expires=expires,
            domain=settings.SESSION_COOKIE_DOMAIN,
            path=settings.SESSION_COOKIE_PATH,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=settings.SESSION_COOKIE_HTTPONLY,
            samesite=settings.SESSION_COOKIE_SAMESITE,
        )

    def _add_vary(self) -> None:
        self.response.headers["Vary"] = reduce(merge_vary, self.vary, self.response.headers.get("Vary", ""))


def _transport() -> Transport:
    return _transport_of(manager(), settings.SESSION_COOKIE_NAME, option("HEADER"))


@lru_cache(maxsize=8)
def _transport_of(manager: SessionManager, cookie_name: str, header: str | None) -> Transport:
    return Transport(is_token_of(manager), cookie_name, header)


def _find(request: HttpRequest, transport: Transport) -> Found:
    """Find the token as it was sent; or in `request.COOKIES`, where the application put one there itself."""
    found = transport.find(wsgi_headers(request.META))
    if found.token is None:
        name = transport.cookie_name
        value = request.COOKIES.get(name)
        if value is not None and value != _as_sent(request).get(name):
            return transport.find(lambda header: (f"{name}={value}",) if header == "Cookie" else ())
    return found


def _as_sent(request: HttpRequest) -> dict[str, str]:
    """Return the request's cookies as Django read them, whatever became of `request.COOKIES` since."""
    read = getattr(type(request), "COOKIES", None)
    return cast("dict[str, str]", read.func(request)) if isinstance(read, cached_property) else {}


def _refused(error: Exception) -> HttpResponseBase:
    """Answer what the store refused; raises what Django's own handlers answer."""
    if isinstance(error, (UpdateError, SessionGone)):
        raise SessionInterrupted(_INTERRUPTED) from None
    if isinstance(error, StoreUnavailable):
        return _unavailable(error)
    refusal = refusal_of(error)
    raise PermissionDenied(refusal.detail if refusal is not None else "") from error


def _unavailable(error: RedisessError) -> HttpResponse:
    """Answer 503, by the project's template 503.html if it has one; the cookie stays as it is."""
    _log.error("answered with 503: %s", error)
    refusal = refusal_of(error)
    if refusal is None:
        raise error
    try:
        body, kind = loader.get_template("503.html").render(), "text/html"
    except TemplateDoesNotExist:
        body, kind = refusal.detail, "text/plain"
    headers = {"Retry-After": str(refusal.retry_after), "Cache-Control": "no-store"}
    return HttpResponse(body, status=refusal.status, content_type=f"{kind}; charset=utf-8", headers=headers)
