"""System checks: settings that are wrong, and those that are not safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  Django's name for it
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from redis.exceptions import RedisError

from redisess_core.web import CookiePolicy
from redisess_django.conf import manager
from redisess_django.middleware import SessionMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENGINE: Final = "redisess_django.sessions"
_MIDDLEWARE: Final = "redisess_django.middleware.SessionMiddleware"


def check_settings(**_: object) -> list[CheckMessage]:
    """Check what the settings say, without a look at Redis."""
    return [*_of_redisess(), *_of_engine(), *_of_middleware(), *_of_cookie()]


def check_server(**_: object) -> list[CheckMessage]:
    """Check that Redis keeps sessions; a server that cannot be asked now is no finding."""
    try:
        client: Any = manager().client
        policies = _policies(client.info("memory"))
    except (ImproperlyConfigured, RedisError, OSError):
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


def _of_middleware() -> Iterator[CheckMessage]:
    for path in settings.MIDDLEWARE:
        try:
            found = import_string(path)
        except ImportError:  # Django says so itself
            continue
        if isinstance(found, type) and issubclass(found, SessionMiddleware):
            return
    yield Warning(
        "MIDDLEWARE has no session middleware of redisess: no session is touched when it is read, none comes by a "
        "header, and where Redis is away the answer is a 500.",
        hint=f'Put "{_MIDDLEWARE}" in place of "django.contrib.sessions.middleware.SessionMiddleware".',
        id="redisess.W002",
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
