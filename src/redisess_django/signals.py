"""Signals of what became of sessions by this process's own doing; the sender is the `SessionStore` class.

Each is sent with `session_id` and `user_id`; `session_rotated` also with `successor`, the new session id. What other
processes do, and what ends many sessions at once: `manager().events()`.
"""

from __future__ import annotations

from django.dispatch import Signal

session_created = Signal()
session_rotated = Signal()
session_killed = Signal()
