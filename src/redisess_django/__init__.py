"""redisess under Django: sessions in Redis that you can count, list and kill.

`sessions(user)` is in `redisess_django.helpers`, for `redisess_django.sessions` is the session engine.
"""

from redisess_django.conf import async_manager, manager
from redisess_django.helpers import (
    aend_session,
    akill_user,
    alogout_everywhere,
    alogout_others,
    asessions,
    end_session,
    kill_user,
    logout_everywhere,
    logout_others,
)
from redisess_django.required import session_required
from redisess_django.signals import session_created, session_killed, session_rotated

__all__ = [
    "aend_session",
    "akill_user",
    "alogout_everywhere",
    "alogout_others",
    "asessions",
    "async_manager",
    "end_session",
    "kill_user",
    "logout_everywhere",
    "logout_others",
    "manager",
    "session_created",
    "session_killed",
    "session_required",
    "session_rotated",
]
