"""`manage.py redisess_kill SESSION_ID`: end one session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from redisess_django.conf import manager
from redisess_django.management.command import SessionsCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(SessionsCommand):
    """End one session."""

    help = "End one session, at once and for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a session id."""
        parser.add_argument("session_id", metavar="SESSION_ID", help="As redisess_sessions shows it.")

    def handle(self, *_: Any, **options: Any) -> None:
        """End it."""
        session_id: str = options["session_id"]
        if not manager().kill(session_id):
            raise CommandError("There is no live session of that id.")
        self.stdout.write(f"ended {session_id}")
