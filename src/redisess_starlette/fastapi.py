"""FastAPI's dependencies: the session of a request or a WebSocket, with a user or without, and in OpenAPI.

Each is `Annotated`, so `async def view(session: CurrentSession)` is all; the functions behind them are what
`dependency_overrides` takes. They share one session, and none of them talks to Redis.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar, cast

from anyio import from_thread
from fastapi import Depends, HTTPException, Security, WebSocketException
from fastapi.openapi import models
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from redisess_core.config import check_seconds
from redisess_core.operation import Operation
from redisess_core.store import AsyncStore
from redisess_core.web import RequestSession
from redisess_starlette import helpers
from redisess_starlette.session import StarletteSession
from redisess_starlette.state import State, serving
from redisess_starlette.websocket import SESSION_ENDED

__all__ = [
    "BlockingRequestSession",
    "BlockingSession",
    "CurrentSession",
    "CurrentUser",
    "FreshSession",
    "RequiredSession",
    "blocking_session",
    "current_session",
    "current_user",
    "required_session",
]

T = TypeVar("T")


class _Scheme(SecurityBase):
    """Shows in OpenAPI where the token comes from, as the app's middleware is set; it reads nothing itself."""

    def __init__(self, scheme_name: str, model_of: Callable[[State | None], models.SecurityBase]) -> None:
        self.scheme_name = scheme_name
        self._model_of = model_of

    @property
    def model(self) -> models.SecurityBase:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # it is only read
        """The scheme of the app that is being served; outside of a request, that of the defaults."""
        return self._model_of(serving.get())

    async def __call__(self) -> None:
        """Do nothing: the middleware has read the token."""


def _cookie_model(state: State | None) -> models.SecurityBase:
    name = "__Host-session" if state is None else state.policy.name
    return _key(models.APIKeyIn.cookie, name, "Set when a user signs in.")


def _header_model(state: State | None) -> models.SecurityBase:
    header = "Authorization" if state is None else state.transport.header
    said = "The session's token, of a client without cookies."
    match header:
        case "Authorization":
            return models.HTTPBearer(description=said)
        case None:
            return _cookie_model(state)
        case _:
            return _key(models.APIKeyIn.header, header, said)


def _key(where: models.APIKeyIn, name: str, said: str) -> models.SecurityBase:
    return models.APIKey.model_validate({"in": where, "name": name, "description": said})


_cookie = _Scheme("SessionCookie", _cookie_model)
_header = _Scheme("SessionToken", _header_model)


async def current_session(
    connection: HTTPConnection,
    _by_cookie: Annotated[None, Security(_cookie)] = None,
    _by_header: Annotated[None, Security(_header)] = None,
) -> StarletteSession:
    """Return the session, which may be anonymous, and new."""
    return helpers.current_session(connection)


CurrentSession = Annotated[StarletteSession, Depends(current_session)]
"""The session, for `async def`: what talks to Redis is awaited."""


async def required_session(connection: HTTPConnection, session: CurrentSession) -> StarletteSession:
    """Return the session of a user; nobody signed in is 401."""
    if session.user_id is None:
        raise _unauthorized(connection, "Sign in to see this.")
    return session


RequiredSession = Annotated[StarletteSession, Depends(required_session)]
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


async def current_user(session: RequiredSession) -> str:
    """Return the id of the user who is signed in; nobody is 401."""
    return cast("str", session.user_id)


CurrentUser = Annotated[str, Depends(current_user)]
"""The id of the user who is signed in; else 401."""


class _FromThread:
    """Runs an operation of a worker thread in the event loop that the thread works for."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    def execute(self, operation: Operation[T]) -> T:
        return from_thread.run(self._store.execute, operation)


class BlockingRequestSession(RequestSession):
    """The session of a request in a worker thread, where `def` runs: what talks to Redis runs in the event loop."""

    def __init__(self, session: StarletteSession) -> None:
        self.__dict__ = session.__dict__  # one state, of which this is another colour

    @property
    def _store(self) -> _FromThread:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # it is only read
        return _FromThread(self.manager.store)


async def blocking_session(session: CurrentSession) -> BlockingRequestSession:
    """Return the session for a `def` endpoint."""
    return BlockingRequestSession(session)


BlockingSession = Annotated[BlockingRequestSession, Depends(blocking_session)]
"""The session, for `def`: nothing is awaited."""


def _unauthorized(connection: HTTPConnection, detail: str) -> Exception:
    if connection.scope["type"] == "websocket" and "websocket.http.response" not in connection.scope.get(
        "extensions", {}
    ):
        return WebSocketException(SESSION_ENDED, detail)
    state = serving.get()
    by_bearer = state is None or state.transport.header == "Authorization"
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer" if by_bearer else "APIKey"})
