"""The middleware: `RedisessMiddleware`, pure ASGI, for HTTP and WebSockets, and for the app's lifespan."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Literal, Unpack

from redisess_core import StoreUnavailable
from redisess_starlette.request import serve_request
from redisess_starlette.state import (
    ManagerOptions,
    Skip,
    State,
    StoreLike,
    manager_for,
    policy_for,
    serving,
    transport_for,
)
from redisess_starlette.websocket import serve_socket

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log: Final = logging.getLogger("redisess")


class RedisessMiddleware:
    """Gives each request and WebSocket its session, and closes with the app's lifespan what it opened.

    *store* is an `AsyncSessionManager`, an async client of redis-py, or a URL; for the last two, every option of a
    manager can be given. *session_cookie* None: `__Host-session` where the attributes allow that, else `session`.
    *max_age* is the cookie's, in seconds: None for the browser's session; 0 or less: nothing is stored. A positive one
    is also the idle timeout, unless *ttl* says otherwise. *rolling* sends the cookie anew with every response.
    *header*: where clients without cookies send their token, None: nowhere. *skip* is asked for each connection. Wrong
    arguments raise `TypeError` or `ValueError` here, when the app starts.
    """

    def __init__(
        self,
        app: ASGIApp,
        store: StoreLike,
        *,
        session_cookie: str | None = None,
        max_age: int | None = None,
        path: str = "/",
        same_site: Literal["lax", "strict", "none"] | None = "lax",
        https_only: bool = True,
        domain: str | None = None,
        partitioned: bool = False,
        rolling: bool = False,
        header: str | None = "Authorization",
        skip: Skip | None = None,
        clear_site_data: bool = False,
        **options: Unpack[ManagerOptions],
    ) -> None:
        self.app = app
        policy = policy_for(
            session_cookie,
            path=path,
            domain=domain,
            https_only=https_only,
            same_site=same_site,
            partitioned=partitioned,
        )
        manager = manager_for(store, max_age, options)
        self._state = State(
            manager,
            manager is not store,
            policy,
            transport_for(manager, policy, header),
            max_age,
            rolling,
            skip,
            clear_site_data,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the lifespan."""
        before = serving.set(self._state)
        try:
            match scope["type"]:
                case "http":
                    await serve_request(self.app, self._state, scope, receive, send)
                case "websocket":
                    await serve_socket(self.app, self._state, scope, receive, send)
                case "lifespan":
                    await self._live(scope, receive, send)
                case _:
                    await self.app(scope, receive, send)
        finally:
            serving.reset(before)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the namespace before the app says that it has started; close after it has ended, or failed."""

        async def tell(message: Message) -> None:
            match message["type"]:
                case "lifespan.startup.complete":
                    await self._look()
                case "lifespan.startup.failed" | "lifespan.shutdown.complete" | "lifespan.shutdown.failed":
                    await self._state.aclose()
                case _:
                    pass
            await send(message)

        try:
            await self.app(scope, receive, tell)
        finally:  # an app may end without a word
            await self._state.aclose()

    async def _look(self) -> None:
        """Find out now what would be wrong at the first request; that Redis is away may pass."""
        try:
            await self._state.manager.now()
        except StoreUnavailable as error:
            _log.warning("started without Redis, requests with a session are answered with 503: %s", error)
