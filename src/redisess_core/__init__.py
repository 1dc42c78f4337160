"""Redis sessions that you can count, list and kill: one manager, blocking and async, for any framework."""

from redisess_core._version import __version__
from redisess_core.errors import (
    NamespaceMismatch,
    RedisessError,
    SessionDataTooLarge,
    SessionGone,
    SessionLimitReached,
    StoreUnavailable,
    StoreUnsupported,
)
from redisess_core.events import AsyncEvents, EventKind, EventReason, Events, SessionEvent
from redisess_core.manager import AsyncSessionManager, SessionManager
from redisess_core.session import AsyncSession, Session
from redisess_core.values import register_type
from redisess_core.verify import Verification

__all__ = [
    "AsyncEvents",
    "AsyncSession",
    "AsyncSessionManager",
    "EventKind",
    "EventReason",
    "Events",
    "NamespaceMismatch",
    "RedisessError",
    "Session",
    "SessionDataTooLarge",
    "SessionEvent",
    "SessionGone",
    "SessionLimitReached",
    "SessionManager",
    "StoreUnavailable",
    "StoreUnsupported",
    "Verification",
    "__version__",
    "register_type",
]
