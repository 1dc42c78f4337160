"""The session as a view sees it: a mapping of session data, and what the request wants done with the session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from redisess_core import values
from redisess_core.config import UserId, check_data_key, check_seconds, check_user_id
from redisess_core.operation import Awaiting, Blocking, Steps, operation
from redisess_core.record import DATA, Changes, data_of
from redisess_core.tokens import session_id_of

if TYPE_CHECKING:
    from redisess_core.operations import SessionOperations
    from redisess_core.session_state import SessionState
    from redisess_core.web.exchange import Exchange

TransportName = Literal["cookie", "header"]

# Values that cannot change behind our back: what was read of them needs no second look.
_FIXED: Final = frozenset({type(None), bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID})


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that waits for the response."""

    user_id: str
    ttl: float | None
    fields: Changes
    transport: TransportName | None
    implies_sign_out: bool  # of another user, whose session this one was


class RequestSessionState(MutableMapping[str, Any]):
    """Session data, and what is known of the session; what a request changes waits here for the end of the request."""

    incidental_keys: frozenset[str] = frozenset()  # a framework's own, for which alone no session is stored

    def __init__(self, exchange: Exchange[Any]) -> None:
        self.exchange = exchange
        self._store: Any = exchange.manager.store
        self.current: SessionState | None = None  # the live session that is stored
        self.opened = False
        self.closed = False
        self._modified = False
        self.accessed = False
        self.begin()

    def begin(self, current: SessionState | None = None) -> None:
        """Start from what is stored, with nothing wanted yet."""
        self.current = current
        self._loaded: Mapping[str, bytes] = {} if current is None else data_of(current.stored_fields)
        self._values: dict[str, Any] = {}
        self._assigned: dict[str, bytes] = {}
        self._deleted: set[str] = set()
        self.leaving = False
        self.sign_in: SignIn | None = None
        self.new_token: str | None = None
        self.wanted_ttl: float | None = None

    # A mapping of session data

    def __getitem__(self, key: str) -> Any:
        self._read()
        if key not in self._values:
            if key in self._deleted:
                raise KeyError(key)
            self._values[key] = values.decode(self._loaded[key])
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._write()
        self._assigned[check_data_key(key)] = values.encode(value, key)
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        self._write()
        if key not in self:
            raise KeyError(key)
        self._values.pop(key, None)
        self._assigned.pop(key, None)
        self._deleted.add(key)

    def __contains__(self, key: object) -> bool:
        self._read()
        return key in self._values or (key in self._loaded and key not in self._deleted)

    def __iter__(self) -> Iterator[str]:
        self._read()
        kept = [key for key in self._loaded if key not in self._deleted]
        return iter([*kept, *(key for key in self._values if key not in self._loaded or key in self._deleted)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.closed else 'open'}>"  # reading is for those who ask

    def clear(self) -> None:
        """Sign out, and go on with an empty session: what many applications sign out with."""
        self.logout()

    # What is known of the session

    @property
    def session_id(self) -> str | None:
        """The public handle; after `login` and `rotate` already the new one. None: nothing is stored."""
        self._read()
        if self.new_token is not None:
            return session_id_of(self.new_token)
        return self.current.session_id if self.current is not None and not self.leaving else None

    @property
    def token(self) -> str | None:
        """The secret that the client sends; after `login` and `rotate` already the new one."""
        self._read()
        if self.new_token is not None:
            return self.new_token
        return self.current.token if self.current is not None and not self.leaving else None

    @property
    def user_id(self) -> str | None:
        """Whose session it is; after `login` already the new user. None: anonymous."""
        self._read()
        if self.sign_in is not None:
            return self.sign_in.user_id
        return self.current.user_id if self.current is not None and not self.leaving else None

    @property
    def fields(self) -> dict[str, Any]:
        """Every additional field and its value; None where there is none."""
        known = self._known()
        found = dict.fromkeys(self.exchange.manager.additional_fields) if known is None else known.fields
        if self.sign_in is not None:
            changed = {name[2:].decode(): value for name, value in self.sign_in.fields.items()}
            found.update({name: None if value is None else values.decode(value) for name, value in changed.items()})
        return found

    @property
    def created(self) -> float | None:
        """When it was created, in seconds since the epoch; None: not yet."""
        known = self._known()
        return None if known is None else known.created

    @property
    def authenticated_at(self) -> float | None:
        """When its user signed in, in seconds since the epoch; None: anonymous, or a sign-in not yet stored."""
        known = self._known()
        return None if known is None or self.sign_in is not None else known.authenticated_at

    @property
    def last_access(self) -> float | None:
        """When it was last touched, in seconds since the epoch; None: not yet."""
        known = self._known()
        return None if known is None else known.last_access

    @property
    def idle(self) -> float:
        """Seconds since its last access; 0 for one that is not stored yet."""
        known = self._known()
        return 0.0 if known is None else known.idle

    @property
    def expires_in(self) -> float | None:
        """Seconds until it ends unless it is touched, `math.inf`: never; None: nothing is stored."""
        known = self._known()
        return None if known is None else known.expires_in

    def authenticated_within(self, secs: float) -> bool:
        """Whether the user signed in in the last *secs* seconds, this request included."""
        known = self._known()
        if self.sign_in is not None:
            return True
        if known is None or known.authenticated_at is None:
            return False
        return known.last_access + known.idle - known.authenticated_at <= secs

    @property
    def new(self) -> bool:
        """Whether no session was there when the request, or a sign-out in it, began."""
        return self._known() is None

    @property
    def modified(self) -> bool:
        """Whether there is something to store."""
        return self._modified or (
            self.opened and bool(self.changes() or self.sign_in or self.new_token or self.leaving)
        )

    @modified.setter
    def modified(self, value: bool) -> None:  # what is stored is found by comparing; to say so too does no harm
        self._modified = value

    # What takes effect when the response is made

    def login(
        self,
        user_id: UserId,
        *,
        ttl: float | None = None,
        transport: TransportName | None = None,
        **fields: Any,
    ) -> None:
        """Sign *user_id* in: a new token, always; the session becomes that user's.

        What an anonymous session held is kept (a cart), what another user's held is dropped. *ttl* in seconds (None:
        as configured); *transport* "header" for a client that reads `token` and gets no cookie. Raises `TypeError`
        for an undeclared field.
        """
        self._write()
        user = check_user_id(user_id)
        if ttl is not None:
            check_seconds("ttl", ttl)
        if transport not in (None, "cookie", "header"):
            raise ValueError(f'transport: {transport!r} given, "cookie", "header" or None wanted')
        manager = self.exchange.manager
        encoded = manager.encode_declared(fields)
        left_before = self.leaving and not (self.sign_in and self.sign_in.implies_sign_out)
        if self.user_id not in (None, user):
            self.logout()
        self.sign_in = SignIn(user, ttl, encoded, transport, implies_sign_out=self.leaving and not left_before)
        self.new_token = manager.new_token(user)

    def logout(self) -> None:
        """Sign out: the session is killed, even when the view then raises, and its cookie removed."""
        self._write()
        self.begin(self.current)
        self._loaded = {}
        self.leaving = self.current is not None
        if not self.leaving:
            self.exchange.forget_cookie()

    def rotate(self) -> None:
        """Give the session a new token and id; the old one is dead at once. Nothing where nothing is stored."""
        self._write()
        if self.current is not None and not self.leaving and self.sign_in is None:
            self.new_token = self.exchange.manager.new_token(self.current.user_id, beside=self.current.session_id)

    # For the exchange and the adapters

    @property
    def manager(self) -> SessionOperations[Any]:
        """The manager that the session is of."""
        return self.exchange.manager

    def default_ttl(self) -> float | None:
        """Return the ttl of a session that begins here; None: the manager's."""
        return None

    def rolls(self) -> bool:
        """Whether the session's cookie is sent again with every response."""
        return False

    def drop_sign_in(self) -> None:
        """Forget a sign-in that was refused, and the sign-out of another user that it would have been."""
        if self.sign_in is not None and self.sign_in.implies_sign_out:
            self.begin(self.current)
        self.sign_in = self.new_token = None

    def drop_changes(self) -> None:
        """Forget changes of data that were refused."""
        self._values, self._assigned, self._deleted = {}, {}, set()

    def has_content(self) -> bool:
        """Whether there is data to keep a session for."""
        kept = {key for key in self._loaded if key not in self._deleted} | self._values.keys()
        return not kept <= self.incidental_keys

    def changes(self) -> Changes:
        """Return what differs from what was loaded, by encoding, as fields of the hash.

        Raises `TypeError` for a value that was made unstorable in place.
        """
        changed: dict[bytes, bytes | None] = {
            DATA + key.encode(): None for key in self._deleted if key in self._loaded and key not in self._values
        }
        for key, value in self._values.items():
            fixed = type(value) in _FIXED
            if fixed and key not in self._assigned:
                continue
            encoded = self._assigned[key] if fixed else values.encode(value, key)
            if encoded != self._loaded.get(key):
                changed[DATA + key.encode()] = encoded
        return changed

    def _known(self) -> SessionState | None:
        self._read()
        return None if self.leaving else self.current

    def _read(self) -> None:
        self.accessed = True
        if not self.opened:
            self.exchange.open_late()

    def _write(self) -> None:
        self._read()
        if self.closed:
            raise RuntimeError(
                "the session was changed after its response began, where nothing can be sent to the client: "
                "change it earlier, or store it earlier with save()"
            )


class RequestSessionMethods(RequestSessionState):
    """What talks to Redis at once: what waits for the response is stored first."""

    @operation
    def save(self) -> Steps[None]:
        """Store now what waits for the response; the cookie goes out with it.

        Raises `SessionLimitReached` (the sign-in is dropped), `SessionDataTooLarge` (the changes of data are dropped),
        `SessionGone`, `StoreUnavailable` and `TypeError` (the end of the request tries again).
        """
        self._read()

        def steps() -> Steps[None]:
            yield from self.exchange.saving()

        return steps()

    @operation
    def touch(self) -> Steps[None]:
        """Move the last access to now; raises `SessionGone` if the session is no longer there."""
        self._read()

        def steps() -> Steps[None]:
            yield from self.exchange.saving()
            yield from self.exchange.touching()

        return steps()

    @operation
    def sessions(self) -> Steps[list[Any]]:
        """List this user's live sessions, most recently accessed first; of an anonymous session: none."""
        self._read()

        def steps() -> Steps[list[Any]]:
            yield from self.exchange.saving()
            if self.user_id is None:
                return []
            found: list[Any] = yield from self.exchange.plan("list_user_sessions", self.user_id)
            return found

        return steps()

    @operation
    def end_session(self, session_id: str) -> Steps[bool]:
        """End one of this user's own sessions; return whether there was one. The id may come from a form."""
        self._read()

        def steps() -> Steps[bool]:
            yield from self.exchange.saving()
            if self.user_id is None:
                return False
            ended: bool = yield from self.exchange.plan("kill", session_id, user_id=self.user_id)
            if ended:
                self.exchange.killed(session_id, self.user_id)
            return ended

        return steps()

    @operation
    def logout_others(self) -> Steps[int]:
        """End all of this user's other sessions; return how many."""
        self._read()

        def steps() -> Steps[int]:
            yield from self.exchange.saving()
            if self.user_id is None:
                return 0
            ended: int = yield from self.exchange.plan("kill_user", self.user_id, keep=self.session_id)
            return ended

        return steps()

    @operation
    def logout_everywhere(self) -> Steps[int]:
        """End all of this user's sessions, this one too; return how many. An anonymous one is signed out alone."""
        self._read()

        def steps() -> Steps[int]:
            yield from self.exchange.saving()
            if self.user_id is None:
                self.logout()
                return 0
            ended: int = yield from self.exchange.plan("kill_user", self.user_id)
            self.exchange.ended(signed_out=True)
            return ended

        return steps()


class RequestSession(RequestSessionMethods, Blocking):
    """The session of a request in blocking code."""


class AsyncRequestSession(RequestSessionMethods, Awaiting):
    """The session of a request in async code: what talks to Redis is awaited."""
