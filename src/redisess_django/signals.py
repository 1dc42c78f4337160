"""Signals of what became of sessions by this process's own doing; the sender is the `SessionStore` class.

Each is sent with `session_id` and `user_id`; `session_rotated` also with `successor`, the new session id. What ends by
its id in a request is told: by a sign-out, `end_session`, the pages, a selection in the admin. What ends many at once,
what the manager and the commands end, and what other processes do: `manager().events()`.
"""

from __future__ import annotations

from django.dispatch import Signal

session_created = Signal()
session_rotated = Signal()
session_killed = Signal()
