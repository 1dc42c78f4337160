"""What of a session was loaded: attributes that no I/O stands behind."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, cast

from redisess_core import values
from redisess_core.config import check_seconds
from redisess_core.record import (
    DATA,
    FIELD,
    Changes,
    SessionData,
    read_number,
    read_text,
    read_time,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redisess_core.plans import SessionPlans


class SessionState:
    """What of a session was loaded: attributes that no I/O stands behind."""

    _manager: SessionPlans[Any]
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
        manager: SessionPlans[Any],
        session_id: str,
        token: str | None,
        stored: dict[bytes, Any],
        *,
        with_data: bool = True,
    ) -> None:
        attributes = vars(self)  # past __setattr__
        attributes["_manager"] = manager
        attributes["_store"] = manager.store
        attributes["_session_id"] = session_id
        attributes["_token"] = token
        self._load(stored, with_data=with_data)

    def _load(self, stored: dict[bytes, Any], *, with_data: bool) -> None:
        attributes = vars(self)
        attributes["_stored"] = stored
        attributes["_with_data"] = with_data
        attributes["_loaded_at"] = time.monotonic()
        attributes["_changed_fields"] = {}
        attributes["_changed_ttl"] = None
        attributes["_data"] = None
        attributes["_gone"] = False

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
        return read_time(self._stored[b"c"])

    @property
    def authenticated_at(self) -> float | None:
        """When its user signed in, in seconds since the epoch; None: anonymous; 0: unknown, before it was created."""
        if self.user_id is None:
            return None
        return read_time(self._stored.get(b"a") or self._stored[b"c"])

    @property
    def last_access(self) -> float:
        """When it was last touched, in seconds since the epoch."""
        return read_time(self._stored[b"l"])

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
        return self._changed_ttl

    @property
    def own_lifetime(self) -> float | None:
        """Seconds from its sign-in, or else its creation, to its absolute deadline; None where it has none."""
        deadline = self._stored.get(b"d")
        began = self.authenticated_at or self.created
        return None if deadline is None else round(float(deadline) - began, 6)

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

    def written(self, fields: Mapping[str, Any], ttl: float | None) -> None:
        """Note which changes of the session's own were stored; those that came meanwhile still wait."""
        for name, value in fields.items():
            if self._changed_fields.get(name, fields) is value:
                del self._changed_fields[name]
        if self._changed_ttl == ttl:
            self._update(_changed_ttl=None)

    def touched(self, reply: list[Any]) -> bool:
        """Note what a touch came to; return whether the session was still there."""
        if reply[0] == b"gone":
            self.mark_gone()
            return False
        self._stored[b"l"] = reply[2]
        return True

    def rename(self, session_id: str) -> None:
        """Go on under the id that another process gave the session; its token is not known here."""
        self._update(_session_id=session_id, _token=None, _gone=False)

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
        return clock() if clock else read_time(self._stored[b"now"]) + time.monotonic() - self._loaded_at

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
