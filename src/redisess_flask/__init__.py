"""redisess under Flask: sessions in Redis that you can count, list and kill."""

from redisess_flask.current import current_session
from redisess_flask.extension import Redisess
from redisess_flask.helpers import (
    end_session,
    kill_user,
    login,
    logout,
    logout_everywhere,
    logout_others,
    manager,
    session_required,
    sessions,
)
from redisess_flask.interface import FlaskSession
from redisess_flask.signals import session_created, session_interrupted, session_killed, session_rotated

__all__ = [
    "FlaskSession",
    "Redisess",
    "current_session",
    "end_session",
    "kill_user",
    "login",
    "logout",
    "logout_everywhere",
    "logout_others",
    "manager",
    "session_created",
    "session_interrupted",
    "session_killed",
    "session_required",
    "session_rotated",
    "sessions",
]
