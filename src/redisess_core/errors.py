"""What can go wrong: every error derives from `RedisessError`."""

from __future__ import annotations

from typing import Literal


class RedisessError(Exception):
    """The base of every error that redisess raises on its own account; each can be pickled."""


class SessionGone(RedisessError):  # noqa: N818  the public name; a session that is gone is a fact, not a mistake
    """The session was killed, rotated or has expired; nothing was written."""

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id)
        self.session_id = session_id

    def __str__(self) -> str:
        return f"session {self.session_id} is gone: it was killed, rotated, or has expired"


class SessionLimitReached(RedisessError):  # noqa: N818  the public name
    """The user has `max_sessions_per_user` live sessions and `on_limit` is "refuse"; nothing was stored."""

    def __init__(self, user_id: str, limit: int) -> None:
        super().__init__(user_id, limit)
        self.user_id = user_id
        self.limit = limit

    def __str__(self) -> str:
        return f"user {self.user_id!r} already has {self.limit} live sessions, the most allowed"


class SessionDataTooLarge(RedisessError):  # noqa: N818  the public name
    """The session's data would exceed `max_data_bytes`, or 1,000 keys; nothing was stored."""

    def __init__(self, size: int, limit: int, unit: Literal["bytes", "keys"] = "bytes") -> None:
        super().__init__(size, limit, unit)
        self.size = size
        self.limit = limit
        self.unit: Literal["bytes", "keys"] = unit

    def __str__(self) -> str:
        if self.unit == "bytes":
            return f"the session's data would take {self.size} bytes; max_data_bytes allows {self.limit}"
        return f"the session's data would have {self.size} keys; a session holds at most {self.limit}"


class NamespaceMismatch(RedisessError):  # noqa: N818  the public name
    """The namespace is recorded with another shard count or layout version than this manager's."""


class StoreUnavailable(RedisessError):  # noqa: N818  the public name
    """Redis cannot be reached, timed out or cannot serve now; the client's exception is the cause."""


class StoreUnsupported(RedisessError):  # noqa: N818  the public name
    """The server is older than Redis 6.2."""
