"""One request's session from its token to its headers: what to ask Redis at the start, at the end, and in between.

Plans only: the adapter runs them, in its colour. The start is at most one round trip, the end likewise (a sign-in
that changes the shard: two).
"""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from redisess_core.errors import (
    RedisessError,
    SessionDataTooLarge,
    SessionGone,
    SessionLimitReached,
    StoreUnavailable,
)
from redisess_core.events import EventKind, EventReason
from redisess_core.operation import Awaiting, Blocking, Plan, Steps, operation
from redisess_core.plans import client_changes
from redisess_core.steps import as_steps
from redisess_core.tokens import token_shard
from redisess_core.web.outcome import CookieChange, Happening, Outcome
from redisess_core.web.request_session import AsyncRequestSession, RequestSession, RequestSessionMethods
from redisess_core.web.transport import Found, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from redisess_core.operations import SessionOperations
    from redisess_core.record import Changes
    from redisess_core.session_state import SessionState
    from redisess_core.web.cookie import CookiePolicy

R = TypeVar("R", bound=RequestSessionMethods)

_log: Final = logging.getLogger("redisess")


class Exchange(Generic[R]):
    """A request's session: where its token was found, what is stored, what the request wants."""

    def __init__(
        self,
        manager: SessionOperations[Any],
        found: Found,
        session_class: type[R],
        *,
        ip: str | None = None,
        user_agent: str | None = None,
    ) -> None:
        self.manager = manager
        self._store: Any = manager.store
        self.found = found
        self.by_header = found.source is Source.HEADER
        self.outcome = Outcome()
        self._ip, self._user_agent = ip, user_agent
        self._opening_error: Exception | None = None
        self._opening_once = Lock()
        self._failed = self._refused = False
        self.session: R = session_class(self)
        if found.token is None:
            self.session.opened = True

    def open_late(self) -> None:
        """Open at the first access, where the adapter did not open before."""
        raise RuntimeError("this request's session was not opened: the application's skip said so")

    # The start

    @operation
    def open(self) -> Plan[None]:
        """Authenticate, touch and load, if a token came and that was not done before; one round trip."""
        if self._opening_error is not None:
            raise self._opening_error
        if self.session.opened or self.found.token is None:
            return self._settled()
        return self._opening(self.found.token)

    def _opening(self, token: str) -> Steps[None]:
        try:
            current: SessionState | None = yield self.manager.plan_authenticate(token)
        except RedisessError as error:
            self._opening_error = error
            raise
        with self._opening_once:  # threads may come side by side: the second sees what the first has opened
            if not self.session.opened:
                self.session.start(current)

    def give_up(self) -> None:
        """Let what answers an opening that failed use the session: it is empty, and nothing is stored."""
        self.session.opened = True
        self._failed = True

    # The end

    @operation
    def close(self, *, failed: bool = False) -> Steps[Outcome]:
        """Store what the request wants, and say what the response tells the client; after this nothing can change.

        Of a *failed* request only a sign-out is carried out. A session that died while the request ran takes the
        request's changes with it: there the outcome says nothing, but for a `Happening` without a kind. Raises
        `SessionLimitReached`, `StoreUnavailable`: then `outcome` says only what `save()` had done before. Raises
        `SessionDataTooLarge`, `TypeError`, `ValueError`: then also what became of a sign-out, the one thing that is
        done all the same.
        """
        session = self.session
        self.outcome.accessed = session.accessed
        if session.closed or self._failed or not session.opened:
            return self._settled(self.outcome)
        return self._closing(failed)

    def _closing(self, failed: bool) -> Steps[Outcome]:
        session = self.session
        try:
            if failed:
                session.drop_all_but_sign_out()
            stored = yield from self.saving()
            if session.current is not None and self._cookie_is_kept() and session.rolls():
                yield from self._rolling(session.current, known_to_live=stored)
        except SessionGone as gone:
            self._interrupt(gone.session_id)
        except StoreUnavailable:
            self._failed = True
            raise
        except Exception as error:
            if isinstance(error, SessionLimitReached) and not self._refused:
                self._refused = True  # what answers it can still use the session, once
                raise
            self._failed = True
            yield from self._signing_out_all_the_same()
            raise
        session.closed = True
        return self.outcome

    def _signing_out_all_the_same(self) -> Steps[None]:
        """Carry out a sign-out, and nothing else, where what waited beside it was refused."""
        self.session.drop_all_but_sign_out()
        try:
            yield from self.saving()
        except SessionGone as gone:
            self._interrupt(gone.session_id)

    def _rolling(self, current: SessionState, *, known_to_live: bool) -> Steps[None]:
        """Send the cookie again, with a later end; not one of a session that was rotated: it would replace the new."""
        try:
            lives: bool = known_to_live or (yield from self.plan("exists", current.session_id))
        except StoreUnavailable:
            return  # the response needs no more than the cookie that the client has
        if not lives:
            raise SessionGone(current.session_id)
        self._send_token()

    def _interrupt(self, session_id: str) -> None:
        user_id = self.session.current.user_id if self.session.current is not None else None
        _log.warning("session %s ended while its request ran; what the request changed is dropped", session_id)
        self.outcome = Outcome(
            accessed=self.session.accessed, happened=[*self.outcome.happened, Happening(None, session_id, user_id)]
        )

    # In between

    def saving(self) -> Steps[bool]:
        """Plan what waits, at most one operation; return whether there was one. What is refused waits no longer."""
        try:
            return (yield from self._saving())
        except SessionLimitReached:
            self.session.drop_sign_in()
            raise
        except SessionDataTooLarge:
            self.session.drop_changes()
            raise

    def _saving(self) -> Steps[bool]:
        if self._opening_error is not None:
            raise self._opening_error
        session, manager = self.session, self.manager
        changes, current, sign_in = session.changes(), session.current, session.sign_in
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
        elif changes and current.user_id is None and not session.has_content():
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
            self.ended(signed_out=False)
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

    def ended(self, *, signed_out: bool) -> None:
        """Note that the session has ended: the client is to forget it."""
        current = self.session.current
        if current is not None:
            current.mark_gone()
            self._happened(EventKind.KILLED, current)
        self.outcome.cookie = CookieChange.KEEP if self.by_header else CookieChange.REMOVE
        self.outcome.signed_out = signed_out
        self.session.begin(None)

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

    def cookie_header(self, policy: CookiePolicy, *, max_age: int | None = None) -> str | None:
        """Return the value of `Set-Cookie`, if one is to be sent."""
        match self.outcome.cookie:
            case CookieChange.SET:
                current = self.session.current
                return (
                    policy.set_header(current.token, max_age=max_age) if current is not None and current.token else None
                )
            case CookieChange.REMOVE:
                return policy.delete_header()
            case CookieChange.KEEP:
                return None

    @staticmethod
    def _settled(result: Any = None) -> Steps[Any]:
        """Plan nothing: the result is known."""
        return result
        yield  # a plan of no step is a generator all the same


class BlockingExchange(Exchange[RequestSession], Blocking):
    """An exchange of a blocking adapter: where it was not opened, the first access opens it."""

    def __init__(
        self,
        manager: SessionOperations[Any],
        found: Found,
        session_class: type[RequestSession] = RequestSession,
        **client: Any,
    ) -> None:
        super().__init__(manager, found, session_class, **client)

    def open_late(self) -> None:
        """Open at the first access; what answers that this failed can use the session: it is empty."""
        try:
            self.open()
        except RedisessError:
            self.give_up()
            raise


class AsyncExchange(Exchange[AsyncRequestSession], Awaiting):
    """An exchange of an async adapter: opened before the view runs."""

    def __init__(
        self,
        manager: SessionOperations[Any],
        found: Found,
        session_class: type[AsyncRequestSession] = AsyncRequestSession,
        **client: Any,
    ) -> None:
        super().__init__(manager, found, session_class, **client)


def is_token_of(manager: SessionOperations[Any]) -> Callable[[str], bool]:
    """Return the test of a token's form for *manager*'s shards."""
    return lambda text: token_shard(text, manager.shards) is not None
