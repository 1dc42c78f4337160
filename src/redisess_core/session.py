"""A session as a caller holds it: what was loaded, and operations on the one in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from redisess_core import values
from redisess_core.config import check_data_key, check_number, check_several
from redisess_core.errors import SessionGone
from redisess_core.operation import Argument, Awaiting, Blocking, Operation, operation
from redisess_core.record import (
    DATA,
    Changes,
    SessionData,
    Stored,
    data_of,
    encode_data,
    encode_fields,
    pairs,
)
from redisess_core.scripts import script
from redisess_core.session_state import SessionState

_UNSET: Final[Any] = object()


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
        fields, ttl = dict(self._changed_fields), self._changed_ttl
        changed = encode_fields(fields)

        def decode(result: Stored) -> None:
            self.remember({**changed, b"l": result.last_access}, ttl)
            self.written(fields, ttl)

        return self._plan_store(changed, ttl=ttl, touch=True, decode=decode)

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
        names = check_several("key of session data", key)
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
                raise TypeError("set(): a key without a value given, a str and a value wanted, or a mapping")
            data: Mapping[str, Any] = {key: value}
        elif value is not _UNSET:
            raise TypeError(f"set(): a key of type {type(key).__name__} given, a str wanted, or a mapping alone")
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
        check_number("keys of session data", len(keys))
        changed: Changes = {DATA + check_data_key(key).encode(): None for key in keys}

        def decode(result: Stored) -> int:
            self.remember(changed)
            return result.deleted

        return self._plan_store(changed, decode=decode)

    def _plan_data(self, names: list[bytes], decode: Any) -> Operation[Any]:
        manager, session_id = self._manager, self._session_id
        args: tuple[Argument, ...] = (manager.clock_argument(), manager.ttl, *names)
        return Operation(script("data"), manager.session_keys(session_id), args, decode)

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
