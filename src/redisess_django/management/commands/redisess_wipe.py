"""`manage.py redisess_wipe`: remove what is left of expired sessions."""

from __future__ import annotations

from typing import Any

from redisess_core.wording import counted
from redisess_django.conf import manager
from redisess_django.management.command import SessionsCommand


class Command(SessionsCommand):
    """Remove what is left of expired sessions."""

    help = "Remove what is left of expired sessions; nobody has to. The command clearsessions does the same."

    def handle(self, *_: Any, **__: Any) -> None:
        """Remove it."""
        self.stdout.write(f"removed {counted(manager().wipe(), 'expired session')}")
