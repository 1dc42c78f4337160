"""`manage.py redisess_sessions [USER]`: list live sessions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from redisess_django.conf import manager
from redisess_django.management.command import SessionsCommand, add_list_options, add_user, chosen_user, named

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from redisess_core import Session


class Command(SessionsCommand):
    """List live sessions, of one user or all."""

    help = (
        "List live sessions, of one user (the latest access first) or all (in no order): "
        "id, user, seconds idle, address, user agent."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a user, and what every list takes."""
        add_user(parser, nargs="?")
        add_list_options(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        """List them, by pages: a million in constant memory."""
        secs, write = options["active"], self._write_json if options["json"] else self._write
        found = (
            manager().iter_sessions(secs)
            if options["user"] is None
            else manager().list_user_sessions(chosen_user(options), secs)
        )
        for session, username in named(found, lambda session: session.user_id):
            write(session, username)

    def _write(self, session: Session, username: str | None) -> None:
        user = session.user_id if username is None else f"{username} ({session.user_id})"
        self.write_row(session.session_id, user, f"{session.idle:.0f}s", session.ip, session.user_agent)

    def _write_json(self, session: Session, username: str | None) -> None:
        self.write_json(
            session_id=session.session_id,
            user_id=session.user_id,
            username=username,
            created=session.created,
            authenticated_at=session.authenticated_at,
            last_access=session.last_access,
            expires=session.expires if session.expires < math.inf else None,
            ip=session.ip,
            user_agent=session.user_agent,
        )
