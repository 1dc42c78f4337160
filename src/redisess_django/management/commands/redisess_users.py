"""`manage.py redisess_users`: list who is signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redisess_django.conf import manager
from redisess_django.management.command import SessionsCommand, add_list_options, named

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(SessionsCommand):
    """List users with a live session."""

    help = "List users with a live session, most recently active first, as JSON Lines in no order: id, username."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what every list takes."""
        add_list_options(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        """List them: as JSON Lines by pages, a million in constant memory; for people all are put in order first."""
        secs, as_json = options["active"], options["json"]
        found = manager().iter_users(secs) if as_json else manager().get_all_users(secs)
        for user_id, username in named(found, lambda user_id: user_id):
            if as_json:
                self.write_json(user_id=user_id, username=username)
            else:
                self.write_row(user_id, username)
