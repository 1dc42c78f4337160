"""What can go wrong: every error derives from `RedisessError`."""

from __future__ import annotations

from typing import Literal


class RedisessError(Exception):
    """The base of every error that redisess raises on its own account."""


class SessionGone(RedisessError):  # noqa: N818  the public name; a session that is gone is a fact, not a mistake
    """The session was killed, rotated or has expired; nothing was written."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id} is gone: it was killed, rotated, or has expired")
        self.session_id = session_id


class SessionLimitReached(RedisessError):  # noqa: N818  the public name
    """The user has `max_sessions_per_user` live sessions and `on_limit` is "refuse"; nothing was stored."""

    def __init__(self, user_id: str, limit: int) -> None:
        super().__init__(f"user {user_id!r} already has {limit} live sessions, the most allowed")
        self.user_id = user_id
        self.limit = limit


class SessionDataTooLarge(RedisessError):  # noqa: N818  the public name
    """The session's data would exceed `max_data_bytes`, or 1,000 keys; nothing was stored."""

    def __init__(self, size: int, limit: int, unit: Literal["bytes", "keys"] = "bytes") -> None:
        if unit == "bytes":
            super().__init__(f"the session's data would take {size} bytes; max_data_bytes allows {limit}")
        else:
            super().__init__(f"the session's data would have {size} keys; a session holds at most {limit}")
        self.size = size
        self.limit = limit
        self.unit: Literal["bytes", "keys"] = unit


class NamespaceMismatch(RedisessError):  # noqa: N818  the public name
    """The namespace is recorded with another shard count or layout version than this manager's."""


class StoreUnavailable(RedisessError):  # noqa: N818  the public name
    """Redis cannot be reached, timed out or cannot serve now; the client's exception is the cause."""


class StoreUnsupported(RedisessError):  # noqa: N818  the public name
    """The server is older than Redis 6.2."""
