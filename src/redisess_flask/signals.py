"""Signals of what this process did to sessions; the sender is the app. Other processes' doings: `manager().events()`.

Each is sent with `session_id` and `user_id`; `session_rotated` also with `successor`, the new session id.
`session_interrupted`: the session was ended by others while its request ran, and what the request changed is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from blinker import Namespace

from redisess_core import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask

    from redisess_core.web import Happening

_signals: Final = Namespace()

session_created: Final = _signals.signal("session-created")
session_rotated: Final = _signals.signal("session-rotated")
session_killed: Final = _signals.signal("session-killed")
session_interrupted: Final = _signals.signal("session-interrupted")

_SIGNAL_OF: Final = {
    EventKind.CREATED: session_created,
    EventKind.ROTATED: session_rotated,
    EventKind.KILLED: session_killed,
    None: session_interrupted,
}


def send(app: Flask, happenings: Iterable[Happening]) -> None:
    """Send the signal of each happening."""
    for happening in happenings:
        known: dict[str, Any] = {"session_id": happening.session_id, "user_id": happening.user_id}
        if happening.successor is not None:
            known["successor"] = happening.successor
        _SIGNAL_OF[happening.kind].send(app, **known)
