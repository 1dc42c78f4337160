"""System checks: settings that are wrong, and those that are not safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangosMiddleware
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  Django's name for it
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from redisess_core.failures import FAILURES
from redisess_core.web import CookiePolicy
from redisess_django.conf import manager, option
from redisess_django.middleware import SessionMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENGINE: Final = "redisess_django.sessions"
_MIDDLEWARE: Final = "redisess_django.middleware.SessionMiddleware"


def check_settings(**_: object) -> list[CheckMessage]:
    """Check what the settings say, without a look at Redis."""
    return [*_of_redisess(), *_of_engine(), *_of_serializer(), *_of_middleware(), *_of_csrf(), *_of_cookie()]


def check_server(**_: object) -> list[CheckMessage]:
    """Check that Redis keeps sessions; a server that cannot be asked now is no finding."""
    try:
        client: Any = manager().client
        policies = _policies(client.info("memory"))
    except (ImproperlyConfigured, *FAILURES):
        return []
    return [
        Warning(
            f"Redis may evict sessions: its maxmemory-policy is {policy}.",
            hint="Set maxmemory-policy to noeviction, or sessions end early and counts are wrong until they expire.",
            id="redisess.W006",
        )
        for policy in sorted(policies - {"noeviction"})
    ]


def connect() -> None:
    """Register the checks."""
    register(check_settings, Tags.security)
    register(check_server, "redisess")


def _of_redisess() -> Iterator[CheckMessage]:
    try:
        manager()
    except ImproperlyConfigured as error:
        yield Error(str(error), id="redisess.E001")
        return
    ages = option("TTL") is None or not settings.SESSION_EXPIRE_AT_BROWSER_CLOSE  # else nothing goes by that age
    if ages and settings.SESSION_COOKIE_AGE <= 0:
        yield Warning(
            f"SESSION_COOKIE_AGE is {settings.SESSION_COOKIE_AGE}: a session, or its cookie, is over at once, "
            "so nobody can stay signed in.",
            hint="Set it to a number of seconds; for a cookie that ends with the browser's session there is "
            "SESSION_EXPIRE_AT_BROWSER_CLOSE = True.",
            id="redisess.W007",
        )
    only_blocking = option("CLIENT") is not None and option("ASYNC_CLIENT") is None
    if only_blocking and getattr(settings, "ASGI_APPLICATION", None):  # no default in Django
        yield Warning(
            "REDISESS has a CLIENT and no ASYNC_CLIENT, but ASGI_APPLICATION is set: async requests will fail.",
            hint='Add "ASYNC_CLIENT", a client of redis.asyncio for the same Redis, or give the URL alone.',
            id="redisess.W008",
        )


def _of_engine() -> Iterator[CheckMessage]:
    try:
        engine: Any = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
        ours = import_string(f"{_ENGINE}.SessionStore")
    except ImportError as error:
        yield Error(f"SESSION_ENGINE: {error}", id="redisess.E002")
        return
    if not issubclass(engine, ours):
        yield Warning(
            f"SESSION_ENGINE is {settings.SESSION_ENGINE!r}: sessions are not in Redis by redisess.",
            hint=f'Set SESSION_ENGINE = "{_ENGINE}".',
            id="redisess.W001",
        )


def _of_serializer() -> Iterator[CheckMessage]:
    path: Any = settings.SESSION_SERIALIZER
    try:
        import_string(path)
    except (AttributeError, ImportError) as error:  # the former for what is no str
        yield Error(
            f"SESSION_SERIALIZER: {path!r} given, the path of a serializer's class wanted: {error}",
            id="redisess.E005",
        )


def _of_middleware() -> Iterator[CheckMessage]:
    ours: list[str] = []
    others: list[str] = []
    for path in settings.MIDDLEWARE:
        try:
            found = import_string(path)
        except ImportError:  # Django says so itself
            continue
        if isinstance(found, type) and issubclass(found, DjangosMiddleware):
            (ours if issubclass(found, SessionMiddleware) else others).append(path)
    if not ours:
        yield Warning(
            "MIDDLEWARE has no session middleware of redisess: no session is touched when it is read, none comes by a "
            "header, and where Redis is away the answer is a 500.",
            hint=f'Put "{_MIDDLEWARE}" in place of "django.contrib.sessions.middleware.SessionMiddleware".',
            id="redisess.W002",
        )
    elif others:
        yield Warning(
            f"MIDDLEWARE has {', '.join(others)} beside {', '.join(ours)}: each opens a session for the same request.",
            hint=f"Remove {', '.join(others)}.",
            id="redisess.W009",
        )


def _of_csrf() -> Iterator[CheckMessage]:
    if settings.SESSION_COOKIE_NAME == settings.CSRF_COOKIE_NAME and not settings.CSRF_USE_SESSIONS:
        yield Error(
            f"SESSION_COOKIE_NAME and CSRF_COOKIE_NAME are both {settings.SESSION_COOKIE_NAME!r}: "
            "one cookie overwrites the other.",
            hint="Give each cookie a name of its own.",
            id="redisess.E004",
        )


def _of_cookie() -> Iterator[CheckMessage]:
    try:
        CookiePolicy(
            settings.SESSION_COOKIE_NAME,
            settings.SESSION_COOKIE_PATH,
            settings.SESSION_COOKIE_DOMAIN,
            secure=bool(settings.SESSION_COOKIE_SECURE),
            http_only=bool(settings.SESSION_COOKIE_HTTPONLY),
            same_site=settings.SESSION_COOKIE_SAMESITE or None,
        )
    except (TypeError, ValueError) as error:
        yield Error(f"SESSION_COOKIE_*: {error}", id="redisess.E003")
    if not settings.DEBUG and not settings.SESSION_COOKIE_SECURE:
        yield Warning(
            "SESSION_COOKIE_SECURE is not True: the session's cookie is sent over plain http, too.",
            hint='Set SESSION_COOKIE_SECURE = True, and with it SESSION_COOKIE_NAME = "__Host-sessionid".',
            id="redisess.W003",
        )
    if not settings.SESSION_COOKIE_HTTPONLY:
        yield Warning(
            "SESSION_COOKIE_HTTPONLY is not True: scripts in the page can read the session's cookie.",
            hint="Set SESSION_COOKIE_HTTPONLY = True.",
            id="redisess.W004",
        )
    if not settings.SESSION_COOKIE_SAMESITE:
        yield Warning(
            "SESSION_COOKIE_SAMESITE is not set: what browsers make of that differs.",
            hint='Set SESSION_COOKIE_SAMESITE = "Lax".',
            id="redisess.W005",
        )


def _policies(info: dict[str, Any]) -> set[str]:
    """Return the policies that a server tells, or each node of a cluster."""
    nodes: list[Any] = [node for node in info.values() if isinstance(node, dict)] or [info]
    return {str(node["maxmemory_policy"]) for node in nodes if "maxmemory_policy" in node}
