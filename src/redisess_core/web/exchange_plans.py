"""What a request wants of its session, as operations: stored at the end of the request, or earlier by `save()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from redisess_core.errors import SessionDataTooLarge, SessionGone, SessionLimitReached
from redisess_core.events import EventKind, EventReason
from redisess_core.operation import as_steps
from redisess_core.plans import client_changes
from redisess_core.web.outcome import CookieChange, Happening, Outcome
from redisess_core.web.request_session import RequestSessionMethods
from redisess_core.web.transport import Found, Source

if TYPE_CHECKING:
    from collections.abc import Collection

    from redisess_core.operation import Steps
    from redisess_core.operations import SessionOperations
    from redisess_core.record import Changes
    from redisess_core.session_state import SessionState

R = TypeVar("R", bound=RequestSessionMethods)


class ExchangePlans(Generic[R]):
    """Plans of what a request's session waits for, and what came of it: for the client, and for the framework."""

    session: R

    def __init__(self, manager: SessionOperations[Any], found: Found, ip: str | None, user_agent: str | None) -> None:
        self.manager = manager
        self.found = found
        self.by_header = found.source is Source.HEADER
        self.outcome = Outcome()
        self._ip, self._user_agent = ip, user_agent
        self._opening_error: Exception | None = None

    def saving(self) -> Steps[bool]:
        """Plan what waits, at most one operation; return whether there was one. What is refused waits no longer."""
        self.session.store()
        changes = self.session.changes()
        try:
            return (yield from self._saving(changes))
        except SessionLimitReached:
            if not self.session.asked_meanwhile:
                self.session.drop_sign_in()
            raise
        except SessionDataTooLarge:
            self.session.drop_changes(changes)
            raise

    def _saving(self, changes: Changes) -> Steps[bool]:
        if self._opening_error is not None:
            raise self._opening_error
        session, manager = self.session, self.manager
        current, sign_in = session.current, session.sign_in
        if current is None:
            if sign_in is None and not session.has_content():
                return False
            yield from self._creating(changes)
        elif session.leaving and sign_in is None and not session.has_content():
            ended: bool = yield manager.plan_kill(current.session_id, reason=EventReason.LOGOUT)
            if not ended:
                raise SessionGone(current.session_id)
            self.ended(signed_out=True)
        elif session.leaving or sign_in is not None:
            yield from self._rotating(current, changes)
        elif None in changes.values() and current.user_id is None and not session.has_content():
            yield from self._emptying(current, changes)
        elif session.new_token is not None:
            yield from self._rotating(current, changes)
        elif changes or session.wanted_ttl is not None:
            yield from self._storing(current, changes)
        else:
            return False
        return True

    def _creating(self, changes: Changes) -> Steps[None]:
        session = self.session
        sign_in = session.sign_in
        user_id = None if sign_in is None else sign_in.user_id
        created: SessionState = yield from self.manager.plan_create(
            session.new_token or self.manager.new_token(user_id),
            user_id,
            {**changes, **self._client_changes(), **({} if sign_in is None else sign_in.fields)},
            ttl=self._ttl_to_store(beginning=True),
        )
        self._now_current(created, changes)
        self._happened(EventKind.CREATED, created)

    def _rotating(self, current: SessionState, changes: Changes) -> Steps[None]:
        session = self.session
        sign_in, fresh = session.sign_in, session.leaving
        user_id = None if sign_in is None else sign_in.user_id
        rotated: SessionState = yield from self.manager.plan_rotate(
            current,
            session.new_token or self.manager.new_token(user_id, beside=current.session_id),
            {
                **changes,
                **({} if sign_in is None and not fresh else self._client_changes()),
                **({} if sign_in is None else sign_in.fields),
            },
            user_id=user_id,
            ttl=self._ttl_to_store(beginning=fresh),
            fresh=fresh,
        )
        self._now_current(rotated, changes)
        if fresh:
            self.outcome.signed_out = self.outcome.signed_out or sign_in is None
            self._happened(EventKind.KILLED, current)
            self._happened(EventKind.CREATED, rotated)
        else:
            self._happened(EventKind.ROTATED, current, rotated.session_id)

    def _emptying(self, current: SessionState, changes: Changes) -> Steps[None]:
        """End an anonymous session that holds nothing more; if another request filled it, do what else was wanted."""
        new_token = self.session.new_token
        ended = yield from self._storing(current, changes, end_but_for=self.session.incidental_keys)
        if ended:
            self.ended(signed_out=False, changes=changes)
        elif new_token is not None:
            self.session.new_token = new_token
            yield from self._rotating(current, {})

    def _storing(
        self, current: SessionState, changes: Changes, *, end_but_for: Collection[str] | None = None
    ) -> Steps[bool]:
        """Store what changed; return whether the session ended with that."""
        session = self.session

        def decode(reply: list[Any]) -> str:
            self.manager.refuse(reply, current.user_id)
            return str(reply[0].decode())

        status: str = yield self.manager.plan_store(
            current.session_id,
            changes,
            ttl=session.wanted_ttl,
            end_but_for=end_but_for,
            decode=decode,
        )
        if status == "gone":
            raise SessionGone(current.session_id)
        if status == "emptied":
            return True
        current.remember(changes, session.wanted_ttl)
        session.go_on(current, changes)
        return False

    def touching(self) -> Steps[None]:
        """Plan a touch, written whatever the interval; nothing where nothing is stored."""
        current = self.session.current
        if current is not None:
            stored: bool = yield self.manager.plan_store(current.session_id, {}, touch=True, decode=current.touched)
            if not stored:
                raise SessionGone(current.session_id)

    def plan(self, name: str, *args: Any, **kwargs: Any) -> Steps[Any]:
        """Take a step that the manager plans: one of its operations, by name."""
        return as_steps(self.manager.planned(name, *args, **kwargs))

    def killed(self, session_id: str, user_id: str | None) -> None:
        """Note that a session of this user was ended; it may be this one."""
        if session_id == self.session.session_id:
            self.ended(signed_out=True)
        else:
            self.outcome.happened.append(Happening(EventKind.KILLED, session_id, user_id))

    def ended(self, *, signed_out: bool, changes: Changes | None = None) -> None:
        """Note that the session has ended, by *changes* of data if so: the client is to forget it."""
        current = self.session.current
        if current is not None:
            current.mark_gone()
            self._happened(EventKind.KILLED, current)
        self.outcome.cookie = CookieChange.KEEP if self.by_header else CookieChange.REMOVE
        self.outcome.signed_out = self.outcome.signed_out or signed_out
        self.session.go_on_without(changes)

    def forget_cookie(self) -> None:
        """Note a sign-out where no session lives: a cookie that was sent names none, and is removed."""
        if self.found.cookie_present and self._cookie_is_kept():
            self.outcome.cookie = CookieChange.REMOVE
            self.outcome.signed_out = True

    def _client_changes(self) -> Changes:
        return client_changes(self._ip, self._user_agent) if self.manager.record_client else {}

    def _ttl_to_store(self, *, beginning: bool) -> float | None:
        session = self.session
        if session.sign_in is not None and session.sign_in.ttl is not None:
            return session.sign_in.ttl
        if session.wanted_ttl is None and beginning:
            return session.default_ttl()
        return session.wanted_ttl

    def _now_current(self, stored: SessionState, changes: Changes) -> None:
        sign_in = self.session.sign_in
        if sign_in is not None:
            self.outcome.signed_out = False
            if sign_in.transport is not None:
                self.by_header = sign_in.transport == "header"
        self.session.go_on(stored, changes)
        self._send_token()

    def _send_token(self) -> None:
        self.outcome.cookie = CookieChange.KEEP if self.by_header else CookieChange.SET
        self.outcome.token_shown = True

    def _cookie_is_kept(self) -> bool:
        return self.outcome.cookie is CookieChange.KEEP and not self.by_header

    def _happened(self, kind: EventKind, session: SessionState, successor: str | None = None) -> None:
        self.outcome.happened.append(Happening(kind, session.session_id, session.user_id, successor))
