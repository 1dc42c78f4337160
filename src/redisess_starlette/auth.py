"""Starlette's authentication: who the session's user is, for `request.user` and `@requires("authenticated")`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser

from redisess_starlette.helpers import current_session, session_of
from redisess_starlette.static import is_static

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection


class SessionUser(BaseUser):
    """The user of a session, by the id that it was signed in with."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id

    @property
    def is_authenticated(self) -> bool:
        """True: who is not signed in is Starlette's `UnauthenticatedUser`."""
        return True

    @property
    def display_name(self) -> str:
        """The user id."""
        return self.user_id

    @property
    def identity(self) -> str:
        """The user id."""
        return self.user_id


class SessionAuthBackend(AuthenticationBackend):
    """Tells Starlette's `AuthenticationMiddleware`, which goes inside `RedisessMiddleware`, whose session it is."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Return the session's user with the scope "authenticated"; None if nobody is signed in.

        None also of static files and of what the application skips, whose session stays closed.
        """
        if is_static(conn.scope.get("app"), conn.scope) or not session_of(conn).opened:
            return None
        user_id = current_session(conn).user_id
        return None if user_id is None else (AuthCredentials(["authenticated"]), SessionUser(user_id))
