"""redisess under Starlette and FastAPI: sessions in Redis that you can count, list and kill."""

from redisess_starlette.auth import SessionAuthBackend, SessionUser
from redisess_starlette.helpers import (
    current_session,
    end_session,
    kill_user,
    login,
    logout,
    logout_everywhere,
    logout_others,
    manager,
    sessions,
)
from redisess_starlette.middleware import RedisessMiddleware
from redisess_starlette.session import StarletteSession
from redisess_starlette.websocket import SESSION_ENDED

__all__ = [
    "SESSION_ENDED",
    "RedisessMiddleware",
    "SessionAuthBackend",
    "SessionUser",
    "StarletteSession",
    "current_session",
    "end_session",
    "kill_user",
    "login",
    "logout",
    "logout_everywhere",
    "logout_others",
    "manager",
    "sessions",
]
