"""What one middleware knows: its manager, where tokens come from, how its cookie is set, who watches its sockets."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict
from weakref import WeakKeyDictionary

from starlette.requests import HTTPConnection

from redisess_core import AsyncSessionManager, SessionManager
from redisess_core.config import LimitPolicy, check_flag
from redisess_core.connect import AsyncClient
from redisess_core.loops import running_loop
from redisess_core.web import CookiePolicy, Transport, default_name, is_token_of
from redisess_starlette.watch import Watch

if TYPE_CHECKING:
    from starlette.types import Scope

StoreLike = AsyncSessionManager | AsyncClient | str
Skip = Callable[[HTTPConnection], bool]


class ManagerOptions(TypedDict, total=False):
    """The options of a manager; `redisess_core` says what each means."""

    namespace: str
    additional_fields: Iterable[str]
    ttl: float
    max_lifetime: float | None
    touch_interval: float
    max_sessions_per_user: int | None
    on_limit: LimitPolicy
    record_client: bool
    max_data_bytes: int
    shards: int | None
    clock: Callable[[], float] | None


@dataclass(slots=True)
class State:
    """What one middleware knows."""

    manager: AsyncSessionManager
    owns_manager: bool
    policy: CookiePolicy
    transport: Transport
    max_age: int | None
    rolling: bool
    skip: Skip | None
    clear_site_data: bool
    _watches: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = field(
        default_factory=WeakKeyDictionary[asyncio.AbstractEventLoop, Watch]
    )

    def __post_init__(self) -> None:
        _check_skip(self.skip)
        check_flag("rolling", self.rolling)
        check_flag("clear_site_data", self.clear_site_data)

    @property
    def stores(self) -> bool:
        """Whether anything is stored: not where cookies are over at once."""
        return self.max_age is None or self.max_age > 0

    def skips(self, scope: Scope) -> bool:
        """Whether the application wants no session opened for this connection."""
        if self.skip is None:
            return False
        answer: object = self.skip(HTTPConnection(scope))
        if inspect.isawaitable(answer):  # which would be true of every connection
            if inspect.iscoroutine(answer):
                answer.close()
            raise TypeError(f"skip: a {type(answer).__name__} returned, a bool wanted: nothing is awaited there")
        return bool(answer)

    def watch(self) -> Watch:
        """Return what watches the sessions of this loop's sockets."""
        loop = running_loop()
        if loop is None:
            raise RuntimeError("a WebSocket in a task of trio's: its session needs asyncio, which redis-py is made for")
        if loop not in self._watches:
            self._watches[loop] = Watch(self.manager)
        return self._watches[loop]

    async def aclose(self) -> None:
        """End the subscription of this loop's sockets, and close what was opened here."""
        loop = running_loop()
        if loop is not None and loop in self._watches:
            await self._watches[loop].aclose()
        if self.owns_manager:
            await self.manager.aclose()


serving: ContextVar[State | None] = ContextVar("serving", default=None)
"""The state of the middleware that serves the current connection."""


def token_header() -> str | None:
    """Return where clients without cookies send their token to the app that is being served."""
    state = serving.get()
    header = "Authorization" if state is None else state.transport.header
    return header.title() if header is not None and header.lower() == "authorization" else header


def challenge() -> dict[str, str]:
    """Return the header of a 401 that says how to authenticate (RFC 9110, section 15.5.2)."""
    return {"WWW-Authenticate": "Bearer" if token_header() == "Authorization" else "APIKey"}


def _check_skip(skip: object) -> None:
    awaits = inspect.iscoroutinefunction(skip) or inspect.iscoroutinefunction(getattr(type(skip), "__call__", None))  # noqa: B004  whether its call is awaited
    if skip is not None and (awaits or not callable(skip)):
        given = "a coroutine function" if awaits else type(skip).__name__
        raise TypeError(f"skip: {given} given, a callable of the connection that returns a bool wanted, or None")


def _check_max_age(value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise TypeError(f"max_age: {value!r} given, whole seconds as an int wanted, or None")


def manager_for(store: StoreLike, max_age: int | None, options: ManagerOptions) -> AsyncSessionManager:
    """Return the manager of a middleware: the one handed in, or a new one over a client or a URL."""
    _check_max_age(max_age)
    if isinstance(store, AsyncSessionManager):
        if options:
            raise TypeError(f"{', '.join(options)} given beside a manager, which has its own options: give them to it")
        return store
    if isinstance(store, SessionManager):
        raise TypeError("store: a SessionManager given, which blocks; an AsyncSessionManager wanted")
    if max_age is not None and max_age > 0:
        options = {"ttl": max_age, **options}
    return AsyncSessionManager(store, **options)


def policy_for(
    session_cookie: str | None, *, path: str, domain: str | None, https_only: bool, **attributes: Any
) -> CookiePolicy:
    """Return how the cookie is set, in Starlette's own spelling."""
    check_flag("https_only", https_only)
    name = default_name(https_only, path, domain) if session_cookie is None else session_cookie
    return CookiePolicy(name, path, domain, secure=https_only, lower_case=True, **attributes)


def transport_for(manager: AsyncSessionManager, policy: CookiePolicy, header: str | None) -> Transport:
    """Return where tokens come from."""
    return Transport(is_token_of(manager), policy.name, header)
