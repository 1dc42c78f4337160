"""The session as a view sees it, but for what talks to Redis: its data, and what the request wants done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from redisess_core import values
from redisess_core.config import UserId, check_seconds, check_user_id
from redisess_core.record import Changes, data_of
from redisess_core.tokens import session_id_of
from redisess_core.web.request_data import RequestData
from redisess_core.web.request_mapping import TOO_LATE, RequestMapping

if TYPE_CHECKING:
    from redisess_core.operations import SessionOperations
    from redisess_core.session_state import SessionState
    from redisess_core.web.exchange import Exchange

TransportName = Literal["cookie", "header"]


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that waits for the response."""

    user_id: str
    ttl: float | None
    fields: Changes
    transport: TransportName | None
    implies_sign_out: bool  # of another user, whose session this one was


class RequestSessionState(RequestMapping):
    """Session data, and what is known of the session; what a request changes waits here for the end of the request."""

    incidental_keys: frozenset[str] = frozenset()  # a framework's own, for which alone no session is stored

    def __init__(self, exchange: Exchange[Any]) -> None:
        self.exchange = exchange
        self._store: Any = exchange.manager.store
        self.current: SessionState | None = None  # the live session that is stored
        self.opened = False
        self.closing = self.closed = False
        self._modified = False
        self.accessed = False
        self._asked = self._asked_before = 0  # sign-ins, sign-outs and rotations; of these, those now being stored
        self.begin()

    def start(self, current: SessionState | None) -> None:
        """Begin the request with the session that its token named, if there is one."""
        self.begin(current)
        self.opened = True  # last: another thread takes this for leave to read

    def begin(self, current: SessionState | None = None, *, leaving: bool = False) -> None:
        """Start from what is stored, with nothing wanted yet; *leaving* it: from nothing, where it is to end."""
        self.current = current
        self._data = RequestData({} if current is None or leaving else data_of(current.stored_fields))
        self._want_nothing()
        self._wants_out = leaving

    def store(self) -> None:
        """Begin to store what is wanted now: what is asked for until that is done still waits then."""
        self._asked_before = self._asked

    def go_on(self, current: SessionState, changes: Changes) -> None:
        """Go on from *current*, where what was wanted is stored now, *changes* of data with it."""
        self.current = current
        if not (self.asked_meanwhile and self._wants_out):
            self._data.rebase(changes, data_of(current.stored_fields))
        if not self.asked_meanwhile:
            self._want_nothing()

    def go_on_without(self, changes: Changes | None = None) -> None:
        """Go on from nothing: the session has ended, by *changes* of data if so, since which others were made."""
        if not self._wants_out and not self.asked_meanwhile:
            later = {} if changes is None else self._data.since(changes)
            self.begin(None)
            for key, value in later.items():
                self._data.set(key, value)
            return
        self.current = None  # what the data holds was put there after the sign-out
        if not self.asked_meanwhile:
            self._want_nothing()

    @property
    def asked_meanwhile(self) -> bool:
        """Whether a sign-in, a sign-out or a rotation was asked for while what was wanted before is being stored."""
        return self._asked != self._asked_before

    @property
    def leaving(self) -> bool:
        """Whether the session that is stored is to end."""
        return self._wants_out and self.current is not None

    def _want_nothing(self) -> None:
        self._wants_out = False
        self.sign_in: SignIn | None = None
        self.new_token: str | None = None
        self.wanted_ttl: float | None = None

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
        as it was; of a new session, as configured); *transport* "header" for a client that reads `token` and gets no
        cookie. Raises `TypeError` for an undeclared field.
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
            self.begin(self.current, leaving=True)
        self._asked += 1
        self.sign_in = SignIn(user, ttl, encoded, transport, implies_sign_out=self.leaving and not left_before)
        self.new_token = manager.new_token(user)

    def logout(self) -> None:
        """Sign out: the session is killed, even when the view then raises, and its cookie removed."""
        self._write()
        self._asked += 1
        self.begin(self.current, leaving=True)
        if not self.leaving:
            self.exchange.forget_cookie()

    def rotate(self) -> None:
        """Give the session a new token and id; the old one is dead at once. Nothing where nothing is stored."""
        self._write()
        if self.current is not None and not self.leaving and self.sign_in is None:
            self._asked += 1
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

    def drop_all_but_sign_out(self) -> None:
        """Forget what waits, but for a sign-out that was asked for and not implied by a sign-in."""
        self.drop_sign_in()
        self.begin(self.current, leaving=self.leaving)

    def drop_changes(self, changes: Changes) -> None:
        """Forget changes of data that were refused."""
        self._data.forget(changes)

    def has_content(self) -> bool:
        """Whether there is data to keep a session for."""
        return not self.incidental_keys.issuperset(self._data.keys())

    def changes(self) -> Changes:
        """Return what differs from what was loaded, as fields of the hash."""
        return self._data.changes()

    def _known(self) -> SessionState | None:
        self._read()
        return None if self.leaving else self.current

    def _read(self) -> None:
        self.accessed = True
        if not self.opened:
            self.exchange.open_late()

    def _write(self) -> None:
        self._read()
        if self.closing or self.closed:
            raise RuntimeError(TOO_LATE)
