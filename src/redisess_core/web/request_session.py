"""The session as a view sees it: a mapping of session data, and what talks to Redis at once."""

from __future__ import annotations

from typing import Any

from redisess_core.config import check_handle
from redisess_core.operation import Awaiting, Blocking, Steps, as_steps, operation
from redisess_core.web.request_state import RequestSessionState


class RequestSessionMethods(RequestSessionState):
    """What talks to Redis at once: what waits for the response is stored first."""

    @operation
    def save(self) -> Steps[None]:
        """Store now what waits for the response; the cookie goes out with it.

        Raises `SessionLimitReached` (the sign-in is dropped), `SessionDataTooLarge` (the changes of data are dropped),
        `SessionGone`, `StoreUnavailable` and `TypeError` (the end of the request tries again).
        """
        self._read()
        yield from self.exchange.saving()

    @operation
    def touch(self) -> Steps[None]:
        """Move the last access to now; raises `SessionGone` if the session is no longer there."""
        self._read()
        yield from self.exchange.saving()
        yield from self.exchange.touching()

    @operation
    def sessions(self) -> Steps[list[Any]]:
        """List this user's live sessions, most recently accessed first; of an anonymous session: none."""
        self._read()
        yield from self.exchange.saving()
        if self.user_id is None:
            return []
        found: list[Any] = yield from self.exchange.plan("list_user_sessions", self.user_id)
        return found

    @operation
    def end_session(self, session_id: str) -> Steps[bool]:
        """End one of this user's own sessions; return whether there was one. The id may come from a form.

        Raises `SessionGone` if this session itself is no longer there: it may be somebody's who was signed out.
        """
        self._read()
        check_handle("session_id", session_id, of_a_form=True)
        yield from self.exchange.saving()
        if self.current is None or self.user_id is None:
            return False
        ended: bool = yield from as_steps(self.manager.plan_kill_own(session_id, self.current))
        if ended:
            self.exchange.killed(session_id, self.user_id)
        return ended

    @operation
    def logout_others(self) -> Steps[int]:
        """End all of this user's other sessions; return how many. Raises `SessionGone` as `end_session` does."""
        self._read()
        yield from self.exchange.saving()
        if self.current is None or self.user_id is None:
            return 0
        this = self.current.session_id
        return (yield from self.manager.plan_kill_user(self.user_id, keep=[this], acting=this))

    @operation
    def logout_everywhere(self) -> Steps[int]:
        """End all of this user's sessions, this one too; return how many. An anonymous one is signed out alone.

        Raises `SessionGone` as `end_session` does.
        """
        self._read()
        yield from self.exchange.saving()
        if self.current is None or self.user_id is None:
            self.logout()
            yield from self.exchange.saving()
            return 0
        ended: int = yield from self.manager.plan_kill_user(self.user_id, acting=self.current.session_id)
        self.exchange.ended(signed_out=True)
        return ended


class RequestSession(RequestSessionMethods, Blocking):
    """The session of a request in blocking code."""


class AsyncRequestSession(RequestSessionMethods, Awaiting):
    """The session of a request in async code: what talks to Redis is awaited."""
