"""FastAPI's dependencies: the session of a request or a WebSocket, with a user or without, and in OpenAPI.

Each is `Annotated`, so `async def view(session: CurrentSession)` is all; the functions behind them are what
`dependency_overrides` takes. They share one session, and none of them talks to Redis.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any, Literal, TypeVar, cast

from anyio import from_thread
from fastapi import Depends, HTTPException, Security, WebSocketException
from fastapi.openapi import models
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from redisess_core import AsyncSession, Session
from redisess_core.config import UserId, check_seconds
from redisess_core.loops import running_loop
from redisess_core.operation import Blocking, Operation, Plan, Scan, Scanned
from redisess_core.store import AsyncStore
from redisess_core.web import TransportName
from redisess_core.web.request_session import RequestSessionMethods
from redisess_starlette import helpers
from redisess_starlette.session import StarletteExchange, StarletteSession
from redisess_starlette.state import challenge, serving, token_header
from redisess_starlette.websocket import SESSION_ENDED

__all__ = [
    "BlockingRequestSession",
    "BlockingSession",
    "CurrentSession",
    "CurrentUser",
    "FreshSession",
    "RequiredSession",
    "get_blocking_session",
    "get_current_session",
    "get_current_user",
    "get_required_session",
]

T = TypeVar("T")


class _Cookie(SecurityBase):
    """Shows in OpenAPI the cookie of the app that is being served; outside of a request, that of the defaults."""

    @property
    def scheme_name(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # it is only read
        """What OpenAPI calls it."""
        return self._shown()[0]

    @property
    def model(self) -> models.SecurityBase:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # it is only read
        """What OpenAPI says of it."""
        return self._shown()[1]

    def _shown(self) -> tuple[str, models.SecurityBase]:
        state = serving.get()
        name = "__Host-session" if state is None else state.policy.name
        return "SessionCookie", _key("cookie", name, "Set when a user signs in.")

    async def __call__(self) -> None:
        """Do nothing: the middleware has read the token."""


class _Header(_Cookie):
    """Shows in OpenAPI the header that a client without cookies sends; where there is none, the cookie once more."""

    def _shown(self) -> tuple[str, models.SecurityBase]:
        header, said = token_header(), "The session's token, of a client without cookies."
        match header:
            case None:
                return super()._shown()
            case "Authorization":
                return "SessionToken", models.HTTPBearer(description=said)
            case _:
                return "SessionToken", _key("header", header, said)


def _key(where: Literal["cookie", "header"], name: str, said: str) -> models.SecurityBase:
    return models.APIKey.model_validate({"in": where, "name": name, "description": said})


_cookie = _Cookie()
_header = _Header()


async def get_current_session(
    connection: HTTPConnection,
    _by_cookie: Annotated[None, Security(_cookie)] = None,
    _by_header: Annotated[None, Security(_header)] = None,
) -> StarletteSession:
    """Return the session, which may be anonymous, and new."""
    return helpers.current_session(connection)


CurrentSession = Annotated[StarletteSession, Depends(get_current_session)]
"""The session, for `async def`: what talks to Redis is awaited."""


async def get_required_session(connection: HTTPConnection, session: CurrentSession) -> StarletteSession:
    """Return the session of a user; nobody signed in is 401."""
    if session.user_id is None:
        raise _unauthorized(connection, "Sign in to see this.")
    return session


RequiredSession = Annotated[StarletteSession, Depends(get_required_session)]
"""The session, where a user is signed in; else 401."""


def FreshSession(seconds: float) -> Any:  # noqa: N802  read where FastAPI's own Depends() would stand
    """Depend on a sign-in in the last so many seconds, for what should ask for the password again; else 401.

    `Annotated[StarletteSession, FreshSession(300)]`, or `dependencies=[FreshSession(300)]` of a route.
    """
    check_seconds("seconds", seconds)

    async def fresh_session(connection: HTTPConnection, session: RequiredSession) -> StarletteSession:
        if not session.authenticated_within(seconds):
            raise _unauthorized(connection, "Sign in again to do this.")
        return session

    return Depends(fresh_session)


async def get_current_user(session: RequiredSession) -> str:
    """Return the id of the user who is signed in; nobody is 401."""
    return cast("str", session.user_id)


CurrentUser = Annotated[str, Depends(get_current_user)]
"""The id of the user who is signed in; else 401."""


def _in_event_loop(function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
    """Call and await *function* in the event loop that this worker thread works for."""
    if running_loop() is not None:
        raise RuntimeError("BlockingSession in `async def`, where it would wait for itself: take CurrentSession")
    return from_thread.run(partial(function, *args, **kwargs))


class _StoreFromThread:
    """Runs an operation of a worker thread in the event loop."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    def execute(self, operation: Operation[Any]) -> Any:
        return _in_event_loop(self._store.execute, operation)

    def scan(self, page: Scan) -> Scanned:
        return _in_event_loop(self._store.scan, page)


class BlockingRequestSession(RequestSessionMethods, Blocking):
    """The session of a request in a worker thread, where `def` runs.

    It has one state with the async session of the same request, by which everything is changed: what talks to Redis is
    that one's, called in the event loop.
    """

    exchange: StarletteExchange

    def __init__(self, session: StarletteSession) -> None:
        self.__dict__ = session.__dict__

    @staticmethod
    def _running(plan: Callable[..., Plan[Any]]) -> Callable[..., Any]:
        def method(self: "BlockingRequestSession", *args: Any, **kwargs: Any) -> Any:
            return _in_event_loop(getattr(self.exchange.session, plan.__name__), *args, **kwargs)

        return method

    def __setitem__(self, key: str, value: Any) -> None:
        self.exchange.session[key] = value

    def __delitem__(self, key: str) -> None:
        del self.exchange.session[key]

    def login(
        self, user_id: UserId, *, ttl: float | None = None, transport: TransportName | None = None, **fields: Any
    ) -> None:
        """Sign *user_id* in when the response is made, as `CurrentSession` does."""
        self.exchange.session.login(user_id, ttl=ttl, transport=transport, **fields)

    def logout(self) -> None:
        """Sign out when the response is made: the session is killed, even if the view then raises."""
        self.exchange.session.logout()

    def rotate(self) -> None:
        """Give the session a new token and id when the response is made."""
        self.exchange.session.rotate()

    def sessions(self) -> list[Session]:  # pyright: ignore[reportIncompatibleVariableOverride]  # a mark makes methods
        """List this user's live sessions, most recently accessed first; of an anonymous session: none."""
        return [self._blocking(each) for each in _in_event_loop(self.exchange.session.sessions)]

    def _blocking(self, listed: AsyncSession) -> Session:
        session = Session.__new__(Session)
        vars(session).update(vars(listed), _store=_StoreFromThread(self.exchange.state.manager.store))
        return session


async def get_blocking_session(session: CurrentSession) -> BlockingRequestSession:
    """Return the session for a `def` endpoint."""
    return BlockingRequestSession(session)


BlockingSession = Annotated[BlockingRequestSession, Depends(get_blocking_session)]
"""The session, for `def`: nothing is awaited."""


def _unauthorized(connection: HTTPConnection, detail: str) -> Exception:
    if connection.scope["type"] == "websocket" and "websocket.http.response" not in connection.scope.get(
        "extensions", {}
    ):
        return WebSocketException(SESSION_ENDED, detail)
    return HTTPException(401, detail, challenge())
