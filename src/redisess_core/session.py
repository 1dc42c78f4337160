"""A session as a caller holds it: what was loaded, and operations on the one in Redis."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from redisess_core import values
from redisess_core.config import check_data_key, check_seconds
from redisess_core.errors import SessionGone
from redisess_core.operation import Awaiting, Blocking, Operation, operation
from redisess_core.record import (
    DATA,
    FIELD,
    Changes,
    SessionData,
    Stored,
    data_of,
    encode_data,
    encode_fields,
    pairs,
    read_number,
    read_text,
)
from redisess_core.scripts import script

if TYPE_CHECKING:
    from redisess_core.operations import SessionOperations

_UNSET: Final[Any] = object()


class SessionState:
    """What of a session was loaded: attributes that no I/O stands behind."""

    _manager: SessionOperations[Any]
    _session_id: str
    _token: str | None
    _stored: dict[bytes, Any]  # fields of the hash, and the time
    _with_data: bool
    _loaded_at: float
    _changed_fields: dict[str, Any]
    _changed_ttl: float | None
    _data: SessionData | None
    _gone: bool

    def __init__(
        self,
        manager: SessionOperations[Any],
        session_id: str,
        token: str | None,
        stored: dict[bytes, Any],
        *,
        with_data: bool = True,
    ) -> None:
        self._update(_manager=manager, _store=manager.store, _session_id=session_id, _token=token)
        self._load(stored, with_data=with_data)

    def _load(self, stored: dict[bytes, Any], *, with_data: bool) -> None:
        self._update(
            _stored=stored,
            _with_data=with_data,
            _loaded_at=time.monotonic(),
            _changed_fields={},
            _changed_ttl=None,
            _data=None,
            _gone=False,
        )

    def _update(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    @property
    def session_id(self) -> str:
        """The public handle; it authenticates nobody."""
        return self._session_id

    @property
    def token(self) -> str | None:
        """The secret, where this process created, rotated or authenticated the session; else None."""
        return self._token

    @property
    def user_id(self) -> str | None:
        """Whose session it is; None: anonymous."""
        return read_text(self._stored.get(b"u") or None)

    @property
    def ttl(self) -> float:
        """Idle timeout in seconds; 0: none. Set it, and `write()`."""
        return self._stored_ttl if self._changed_ttl is None else self._changed_ttl

    @ttl.setter
    def ttl(self, seconds: float) -> None:
        self._update(_changed_ttl=check_seconds("ttl", seconds))

    @property
    def created(self) -> float:
        """When it was created, in seconds since the epoch."""
        return float(self._stored[b"c"])

    @property
    def authenticated_at(self) -> float | None:
        """When its user signed in, in seconds since the epoch; None: anonymous."""
        if self.user_id is None:
            return None
        return float(self._stored.get(b"a") or self._stored[b"c"])

    @property
    def last_access(self) -> float:
        """When it was last touched, in seconds since the epoch."""
        return float(self._stored[b"l"])

    @property
    def expires(self) -> float:
        """When it ends unless it is touched, in seconds since the epoch; `math.inf`: never."""
        ttl, deadline = self._stored_ttl, self._stored.get(b"d")
        idle_end = self.last_access + ttl if ttl else math.inf
        return min(idle_end, float(deadline)) if deadline else idle_end

    @property
    def expires_in(self) -> float:
        """Seconds until it ends unless it is touched, 0 when it has; `math.inf`: never."""
        return max(0.0, self.expires - self._now())

    @property
    def idle(self) -> float:
        """Seconds since its last access."""
        return max(0.0, self._now() - self.last_access)

    @property
    def valid(self) -> bool:
        """Whether it is live, as far as this process can tell without asking."""
        return not self._gone and self._now() < self.expires

    @property
    def ip(self) -> str | None:
        """The remote address recorded at its creation or sign-in."""
        return read_text(self._stored.get(b"i"))

    @property
    def user_agent(self) -> str | None:
        """The user agent recorded at its creation or sign-in."""
        return read_text(self._stored.get(b"g"))

    @property
    def fields(self) -> dict[str, Any]:
        """Every additional field and its value; None where there is none."""
        return {name: self._field(name) for name in self._manager.additional_fields}

    @property
    def data(self) -> Mapping[str, Any]:
        """Session data as it was loaded, read-only; empty in a session that came from a list."""
        if self._data is None:
            found = self._stored.items()
            encoded = {name[2:].decode(): value for name, value in found if value is not None and name[:2] == DATA}
            self._update(_data=SessionData(encoded))
        return cast("SessionData", self._data)

    # For the managers and the web layer

    @property
    def has_data(self) -> bool:
        """Whether the session's data was loaded."""
        return self._with_data

    @property
    def stored_fields(self) -> Changes:
        """The fields of the hash, as loaded."""
        return self._stored

    @property
    def changed_fields(self) -> Mapping[str, Any]:
        """Additional fields that were set and not yet written."""
        return self._changed_fields

    @property
    def changed_ttl(self) -> float | None:
        """The ttl if it was set and not yet written."""
        return None if self._changed_ttl == self._stored_ttl else self._changed_ttl

    @property
    def carried_fields(self) -> Changes:
        """The fields of the hash that go with the session wherever it moves: data, additional fields, its client."""
        kept = (FIELD, DATA, b"i", b"g")
        return {name: value for name, value in self._stored.items() if name[:2] in kept}

    def remember(self, changes: Changes, ttl: float | None = None) -> None:
        """Note what was stored."""
        self._stored.update(changes)
        if ttl is not None:
            self._stored[b"t"] = repr(ttl).encode()
        self._update(_data=None)

    def touched(self, reply: list[Any]) -> bool:
        """Note what a touch came to; return whether the session was still there."""
        if reply[0] == b"gone":
            self.mark_gone()
            return False
        self._stored[b"l"] = reply[2]
        return True

    def mark_gone(self) -> None:
        """Note that the session is no longer there."""
        self._update(_gone=True)

    @property
    def _stored_ttl(self) -> float:
        return read_number(self._stored[b"t"])

    def _field(self, name: str) -> Any:
        if name in self._changed_fields:
            return self._changed_fields[name]
        stored = self._stored.get(FIELD + name.encode())
        return None if stored is None else values.decode(stored)

    def _now(self) -> float:
        clock = self._manager.clock
        return clock() if clock else float(self._stored[b"now"]) + time.monotonic() - self._loaded_at

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self._manager.additional_fields:
            return self._field(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._manager.additional_fields:
            self._changed_fields[name] = value
        elif isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
        else:
            raise AttributeError(
                f"{name!r} is no attribute that can be set: ttl and the manager's additional_fields can",
                name=name,
                obj=self,
            )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._session_id} user_id={self.user_id!r}>"


class SessionMethods(SessionState):
    """The operations on one session: each is one round trip, one atomic step."""

    @operation
    def read(self) -> Operation[bool]:
        """Load the session again, its data included, without a touch; return whether it is still there."""

        def decode(reply: list[Any]) -> bool:
            if not reply:
                self.mark_gone()
                return False
            self._load(pairs(reply), with_data=True)
            return True

        return self._manager.plan_open(self._session_id, touch=False, decode=decode)

    @operation
    def write(self) -> Operation[None]:
        """Store changed additional fields and the ttl, and touch.

        Raises `SessionGone` if the session is no longer there, `TypeError` for a value that cannot be stored.
        """
        changed = encode_fields(self._changed_fields)

        def decode(result: Stored) -> None:
            self._stored.update(changed)
            self._changed_fields.clear()
            self._stored.update({b"t": repr(self.ttl).encode(), b"l": result.last_access})

        return self._plan_store(changed, ttl=self.changed_ttl, touch=True, decode=decode)

    @operation
    def kill(self) -> Operation[bool]:
        """End the session, at once and for good; return whether it was still there."""

        def decode(killed: bool) -> bool:
            self.mark_gone()
            return killed

        planned = self._manager.plan_kill(self._session_id)
        return Operation(planned.script, planned.keys, planned.args, lambda reply: decode(planned.decode(reply)))

    @operation
    def get(self, key: str | list[str] | tuple[str, ...] | Mapping[str, Any], default: Any = None) -> Operation[Any]:
        """Read session data from Redis: a value; for a list of keys, a list; for a dict of defaults, a dict.

        Raises `SessionGone` if the session is no longer there.
        """
        names = [key] if isinstance(key, str) else list(key)
        for name in names:
            check_data_key(name)

        def decode(reply: list[Any]) -> Any:
            self._refuse_gone(reply)
            defaults = [key[name] for name in names] if isinstance(key, Mapping) else [default] * len(names)
            stored = reply[:-1] if names else []  # no name asks for the whole hash
            found = [
                otherwise if value is None else values.decode(value)
                for value, otherwise in zip(stored, defaults, strict=True)
            ]
            if isinstance(key, Mapping):
                return dict(zip(names, found, strict=True))
            return found[0] if isinstance(key, str) else found

        return self._plan_data([DATA + name.encode() for name in names], decode)

    @operation
    def get_all(self) -> Operation[dict[str, Any]]:
        """Read all session data from Redis; raises `SessionGone` if the session is no longer there."""

        def decode(reply: list[Any]) -> dict[str, Any]:
            self._refuse_gone(reply)
            return dict(SessionData(data_of(pairs(reply))))

        return self._plan_data([], decode)

    @operation
    def set(self, key: str | Mapping[str, Any], value: Any = _UNSET) -> Operation[int]:
        """Store a value, or a mapping of several, and only those; return how many were stored.

        Raises `SessionGone`, `SessionDataTooLarge`, or `TypeError` for a value that cannot be stored: of these,
        nothing is stored.
        """
        if isinstance(key, str):
            if value is _UNSET:
                raise TypeError("set(): a key without a value given, a key and a value or a mapping wanted")
            data: Mapping[str, Any] = {key: value}
        elif value is not _UNSET:
            raise TypeError("set(): a value beside a mapping given, a key and a value or a mapping wanted")
        else:
            data = key
        changed = encode_data(data)

        def decode(_: Stored) -> int:
            self.remember(changed)
            return len(changed)

        return self._plan_store(changed, decode=decode)

    @operation
    def delete(self, *keys: str) -> Operation[int]:
        """Remove session data; return how many of the keys were there. Raises `SessionGone`."""
        changed: Changes = {DATA + check_data_key(key).encode(): None for key in keys}

        def decode(result: Stored) -> int:
            self.remember(changed)
            return result.deleted

        return self._plan_store(changed, decode=decode)

    def _plan_data(self, names: list[bytes], decode: Any) -> Operation[Any]:
        manager, session_id = self._manager, self._session_id
        return Operation(script("data"), manager.session_keys(session_id), (manager.clock_argument(), *names), decode)

    def _plan_store(
        self, changed: Changes, *, ttl: float | None = None, touch: bool = False, decode: Any
    ) -> Operation[Any]:
        def read_reply(reply: list[Any]) -> Any:
            self._refuse_gone(reply)
            return decode(Stored(reply, self._manager.max_data_bytes))

        return self._manager.plan_store(self._session_id, changed, ttl=ttl, touch=touch, decode=read_reply)

    def _refuse_gone(self, reply: list[Any]) -> None:
        if not reply or reply[0] == b"gone":
            self.mark_gone()
            raise SessionGone(self._session_id)


class Session(SessionMethods, Blocking):
    """A session of a `SessionManager`."""


class AsyncSession(SessionMethods, Awaiting):
    """A session of an `AsyncSessionManager`: the same attributes; its methods are awaited."""
