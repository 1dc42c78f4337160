"""The settings: one dictionary, `REDISESS`, beside Django's own `SESSION_*`; and the two managers made from them."""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from redisess_core import AsyncSessionManager, SessionManager
from redisess_core.config import check_flag, check_seconds
from redisess_core.loops import running_loop
from redisess_core.web import MANAGER_OPTIONS, OPTIONS, Option, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

DJANGO_OPTIONS: Final = (
    Option("async_client", None, "an async client of redis-py, for async code, where CLIENT is given"),
    Option("end_on_password_change", True, "end a user's other sessions when their password changes"),
    Option(
        "fresh", 600, "seconds for which a sign-in is fresh: later, ending all other sessions asks for the password"
    ),
    Option("migrate_from", None, "the former SESSION_ENGINE: its sessions are taken over at first sight"),
)
"""Options that no other adapter has."""

_DEFAULTS: Final[Mapping[str, Any]] = {
    **{option.name.upper(): option.default for option in (*OPTIONS, *DJANGO_OPTIONS)},
    "TTL": None,  # it is what Django calls SESSION_COOKIE_AGE
}
_NOTHING: Final[dict[str, Any]] = {}
_made: Final[dict[type, Any]] = {}
_making: Final = Lock()
_closing: Final[set[asyncio.Task[None]]] = set()  # a loop itself holds its tasks but weakly
_read: tuple[object, Mapping[str, Any]] = (object(), {})  # the dictionary that was read last, and what it says


def options() -> Mapping[str, Any]:
    """Return what `REDISESS` says of every option; raises `ImproperlyConfigured` for an unknown one."""
    found: dict[str, Any] = getattr(settings, "REDISESS", _NOTHING)
    known, said = _read
    return said if known is found else _read_anew(found)


def _read_anew(found: object) -> Mapping[str, Any]:
    global _read  # noqa: PLW0603  it is asked for several times a request
    if not isinstance(found, dict):
        raise ImproperlyConfigured(f"REDISESS: {type(found).__name__} given, a dictionary wanted")
    given = cast("dict[str, Any]", found)
    unknown = sorted(str(key) for key in given if key not in _DEFAULTS)
    if unknown:
        raise ImproperlyConfigured(f"REDISESS: {', '.join(unknown)} given; known are {', '.join(_DEFAULTS)}")
    _read = given, {**_DEFAULTS, **given}
    return _read[1]


def option(name: str) -> Any:
    """Return what `REDISESS` says of one option."""
    return options()[name]


def manager() -> SessionManager:
    """Return the project's session manager; raises `ImproperlyConfigured`."""
    found: SessionManager = _made.get(SessionManager) or _make(SessionManager)
    return found


def async_manager() -> AsyncSessionManager:
    """Return the project's manager for async code, over the same sessions; raises `ImproperlyConfigured`."""
    found: AsyncSessionManager = _made.get(AsyncSessionManager) or _make(AsyncSessionManager)
    return found


def _make(kind: type[SessionManager | AsyncSessionManager]) -> Any:
    with _making:
        if kind not in _made:
            try:
                _check_own()
                _made[kind] = kind(_client(kind), **_manager_options())
            except (TypeError, ValueError) as error:
                raise ImproperlyConfigured(f"REDISESS: {error}") from error
        return _made[kind]


def _client(kind: type[SessionManager | AsyncSessionManager]) -> Any:
    client, async_client = option("CLIENT"), option("ASYNC_CLIENT")
    if client is None and async_client is None:
        return option("URL")
    found = client if kind is SessionManager else async_client
    if found is None:
        missing = "CLIENT" if kind is SessionManager else "ASYNC_CLIENT"
        raise ValueError(
            f"{missing} wanted beside the client that is given: blocking code uses one, async code the other"
        )
    return found


def _manager_options() -> dict[str, Any]:
    options, age = {each.name: option(each.name.upper()) for each in MANAGER_OPTIONS}, _cookie_age()
    if options["ttl"] is None:
        options["ttl"] = age  # each session is given its own
    return options


def _cookie_age() -> float:
    """Return the seconds that `SESSION_COOKIE_AGE` says, but at least 1: as a ttl, 0 would stand for none."""
    age: Any = settings.SESSION_COOKIE_AGE
    try:
        return check_seconds("SESSION_COOKIE_AGE", max(age, 1) if isinstance(age, (int, float)) else age)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(str(error)) from error


def _check_own() -> None:
    check_flag("END_ON_PASSWORD_CHANGE", option("END_ON_PASSWORD_CHANGE"))
    check_flag("CLEAR_SITE_DATA", option("CLEAR_SITE_DATA"))
    check_seconds("FRESH", option("FRESH"))
    skip = option("SKIP")
    if skip is not None and not callable(skip):
        raise TypeError(f"SKIP: {type(skip).__name__} given, a callable of the request or None wanted")
    _check_header(option("HEADER"))
    former = option("MIGRATE_FROM")
    if former is not None:
        _check_engine(former)


def _check_header(header: Any) -> None:
    Transport(callable, settings.SESSION_COOKIE_NAME, header)
    if header is not None and "_" in header:  # servers drop such a header, as META would take it for another
        wanted = header.upper().removeprefix("HTTP_").replace("_", "-").title()
        raise ValueError(f"HEADER: {header!r} given, {wanted!r} wanted: the name that clients send, not that in META")


def _check_engine(path: object) -> None:
    if not isinstance(path, str):
        raise TypeError(f"MIGRATE_FROM: {type(path).__name__} given, the path of a session engine wanted, or None")
    try:
        found = import_string(f"{path}.SessionStore")
    except ImportError as error:
        raise ValueError(f"MIGRATE_FROM: {path!r} given, the path of a session engine wanted: {error}") from error
    if found.__module__.startswith("redisess_django."):
        raise ValueError(f"MIGRATE_FROM: {path!r} given, the engine that sessions are moved from wanted")


def _forget(*, setting: str, **_: object) -> None:
    if setting in ("REDISESS", "SESSION_COOKIE_AGE"):
        with _making:
            forgotten = list(_made.values())
            _made.clear()
        for made in forgotten:
            _close(made)


def _close(made: SessionManager | AsyncSessionManager) -> None:
    if isinstance(made, SessionManager):
        made.close()
        return
    loop = running_loop()
    if loop is None:
        asyncio.run(made.aclose())
    else:
        _closing.add(task := loop.create_task(made.aclose()))
        task.add_done_callback(_closing.discard)


setting_changed.connect(_forget)
