"""One request's session from its token to its headers: what to ask Redis at the start and at the end.

Plans only: the adapter runs them, in its colour. The start is at most one round trip, the end likewise (a sign-in
that changes the shard: two).
"""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from redisess_core.errors import RedisessError, SessionGone, SessionLimitReached, StoreUnavailable
from redisess_core.operation import Awaiting, Blocking, Plan, Steps, operation
from redisess_core.steps import nothing
from redisess_core.tokens import token_shard
from redisess_core.web.exchange_plans import ExchangePlans, R
from redisess_core.web.outcome import CookieChange, Happening, Outcome
from redisess_core.web.request_session import AsyncRequestSession, RequestSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from redisess_core.operations import SessionOperations
    from redisess_core.session_state import SessionState
    from redisess_core.web.cookie import CookiePolicy
    from redisess_core.web.transport import Found

_log: Final = logging.getLogger("redisess")


class Exchange(ExchangePlans[R]):
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
        super().__init__(manager, found, ip, user_agent)
        self._store: Any = manager.store
        self._opening_once = Lock()
        self._failed = self._refused = False
        self.session: R = session_class(self)
        if found.token is None:
            self.session.opened = True

    def open_late(self) -> None:
        """Open at the first access, where the adapter did not open before."""
        raise RuntimeError("this request's session was not opened: it is a static file's, or the application skips it")

    # The start

    @operation
    def open(self) -> Plan[None]:
        """Authenticate, touch and load, if a token came and that was not done before; one round trip."""
        if self._opening_error is not None:
            raise self._opening_error
        if self.session.opened or self.found.token is None:
            return nothing(None)
        return self._opening(self.found.token)

    def _opening(self, token: str) -> Steps[None]:
        try:
            current: SessionState | None = yield self.manager.plan_authenticate(token)
        except RedisessError as error:
            with self._opening_once:
                if self.session.opened:
                    return
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
            return nothing(self.outcome)
        return self._closing(failed)

    def _closing(self, failed: bool) -> Steps[Outcome]:
        self.session.closing = True  # what another task asks for now would come too late to be stored
        try:
            yield from self._storing_the_end(failed)
        finally:
            self.session.closing = False
        self.session.closed = True
        return self.outcome

    def _storing_the_end(self, failed: bool) -> Steps[None]:
        session = self.session
        try:
            if failed:
                session.drop_all_but_sign_out()
            stored = yield from self.saving()
            if not failed and session.current is not None and self._cookie_is_kept() and session.rolls():
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
