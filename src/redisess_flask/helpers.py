"""What views call: signing in and out, ending sessions, and who may see a page."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from flask import current_app
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from redisess_core.config import check_seconds
from redisess_flask import flask_login_support
from redisess_flask.current import current_session
from redisess_flask.interface import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from redisess_core import Session, SessionManager
    from redisess_core.config import UserId
    from redisess_core.web import TransportName

P = ParamSpec("P")
T = TypeVar("T")


def manager() -> SessionManager:
    """Return the current app's session manager."""
    return state_of(current_app).manager


def login(user_id: UserId, *, ttl: float | None = None, transport: TransportName | None = None, **fields: Any) -> None:
    """Sign *user_id* in when the response is made: a new token, and the session is that user's.

    *ttl* in seconds; *transport* "header" for a client that reads `current_session.token` and gets no cookie;
    *fields*: additional fields.
    """
    current_session.login(user_id, ttl=ttl, transport=transport, **fields)


def logout() -> None:
    """Sign out when the response is made: the session is killed, even if the view then raises."""
    current_session.logout()


def sessions() -> list[Session]:
    """List the current user's live sessions, most recently accessed first."""
    return current_session.sessions()


def end_session(session_id: str) -> bool:
    """End one of the current user's own sessions, at once; return whether there was one. For ids out of forms."""
    return current_session.end_session(session_id)


def logout_others() -> int:
    """End all other sessions of the current user, at once; return how many."""
    return current_session.logout_others()


def logout_everywhere() -> int:
    """End all sessions of the current user, this one too, at once; return how many."""
    return current_session.logout_everywhere()


def kill_user(user_id: UserId, *, keep: str | Iterable[str] | None = None) -> int:
    """End all of *user_id*'s sessions but those kept, at once; return how many. For administrators."""
    return manager().kill_user(user_id, keep=keep)


@overload
def session_required(view: Callable[P, T]) -> Callable[P, T]: ...
@overload
def session_required(*, fresh: float | None = None) -> Callable[[Callable[P, T]], Callable[P, T]]: ...
def session_required(view: Callable[P, T] | None = None, *, fresh: float | None = None) -> Any:
    """Answer 401 unless a user is signed in; with *fresh*, within the last so many seconds.

    Use it bare or with arguments, below the route. The app's handler for 401 is asked first.
    """
    if view is not None and not callable(view):
        raise TypeError(f"session_required: {type(view).__name__} given, a view or fresh=seconds wanted")
    if fresh is not None:
        check_seconds("fresh", fresh)

    def decorate(wrapped: Callable[P, T]) -> Callable[P, T]:
        @wraps(wrapped)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            if current_session.user_id is None:
                flask_login_support.load_user()
            if current_session.user_id is None:
                _refuse("Sign in to see this.")
            if fresh is not None and not current_session.authenticated_within(fresh):
                _refuse("Sign in again to do this.")
            return cast("T", current_app.ensure_sync(wrapped)(*args, **kwargs))

        return guarded

    return decorate if view is None else decorate(view)


def _refuse(description: str) -> None:
    by_bearer = (state_of(current_app).header or "").lower() == "authorization"
    raise Unauthorized(description, www_authenticate=WWWAuthenticate("bearer") if by_bearer else None)
