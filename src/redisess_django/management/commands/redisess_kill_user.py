"""`manage.py redisess_kill_user USER`: end all sessions of a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redisess_core.wording import counted
from redisess_django.conf import manager
from redisess_django.management.command import SessionsCommand, add_user, chosen_user

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(SessionsCommand):
    """End all sessions of a user."""

    help = "End all sessions of a user, at once and for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a user."""
        add_user(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        """End them."""
        self.stdout.write(f"ended {counted(manager().kill_user(chosen_user(options)), 'session')}")
