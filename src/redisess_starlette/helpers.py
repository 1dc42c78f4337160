"""What views call: signing in and out, and ending sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redisess_starlette.session import StarletteSession

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import HTTPConnection

    from redisess_core import AsyncSession, AsyncSessionManager
    from redisess_core.config import UserId
    from redisess_core.web import TransportName


def current_session(connection: HTTPConnection) -> StarletteSession:
    """Return the session of a request or a WebSocket under its own type: what `connection.session` is."""
    found = session_of(connection)
    found.mark_accessed()
    return found


def session_of(connection: HTTPConnection) -> StarletteSession:
    """Return the session of a connection without asking for it: the response does not depend on it yet."""
    found: object = connection.scope.get("session")
    if not isinstance(found, StarletteSession):
        raise TypeError("the session of this connection is not redisess's: add RedisessMiddleware to the app")
    return found


def manager(connection: HTTPConnection) -> AsyncSessionManager:
    """Return the session manager of the app that serves this connection."""
    return session_of(connection).exchange.state.manager


def login(
    connection: HTTPConnection,
    user_id: UserId,
    *,
    ttl: float | None = None,
    transport: TransportName | None = None,
    **fields: Any,
) -> None:
    """Sign *user_id* in when the response is made, or a socket accepted: a new token, and the session is that user's.

    *ttl* in seconds; *transport* "header" for a client that reads the session's `token` and gets no cookie; *fields*:
    additional fields.
    """
    current_session(connection).login(user_id, ttl=ttl, transport=transport, **fields)


def logout(connection: HTTPConnection) -> None:
    """Sign out when the response is made: the session is killed, even if the view then raises.

    In an accepted WebSocket: at the next `save()`, or at its close. `logout_everywhere` does not wait.
    """
    current_session(connection).logout()


async def sessions(connection: HTTPConnection) -> list[AsyncSession]:
    """List the current user's live sessions, most recently accessed first."""
    return await current_session(connection).sessions()


async def end_session(connection: HTTPConnection, session_id: str) -> bool:
    """End one of the current user's own sessions, at once; return whether there was one. For ids out of forms."""
    return await current_session(connection).end_session(session_id)


async def logout_others(connection: HTTPConnection) -> int:
    """End all other sessions of the current user, at once; return how many."""
    return await current_session(connection).logout_others()


async def logout_everywhere(connection: HTTPConnection) -> int:
    """End all sessions of the current user, this one too, at once; return how many."""
    return await current_session(connection).logout_everywhere()


async def kill_user(connection: HTTPConnection, user_id: UserId, *, keep: str | Iterable[str] | None = None) -> int:
    """End all of *user_id*'s sessions but those kept, at once; return how many. For administrators."""
    return await manager(connection).kill_user(user_id, keep=keep)
