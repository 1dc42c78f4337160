"""What the management commands share: errors said in a line, whom USER means, and how things are written."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from redisess_core import RedisessError
from redisess_core.config import check_user_id
from redisess_django.known_users import key_of, user_model, users_by_id
from redisess_django.users import user_id_of

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

_BATCH: Final = 500  # users whose names are looked up by one query


class SessionsCommand(BaseCommand):
    """A command about sessions. What it is given is not shown in an error: it may be a token."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run it; what goes wrong outside of this program is said in a line."""
        try:
            output = super().execute(*args, **options)
            self.stdout.flush()
        except BrokenPipeError:  # who reads it has seen enough; what is still to be written at the exit goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None
        except (RedisessError, ImproperlyConfigured, ValueError) as error:
            raise CommandError(str(error)) from error
        else:
            return output

    def write_row(self, *cells: str | None) -> None:
        """Write a line for people; a cell that holds nothing is a dash."""
        self.stdout.write("  ".join(printable(cell or "-") for cell in cells))

    def write_json(self, **values: Any) -> None:
        """Write a line of JSON, all in ASCII."""
        self.stdout.write(json.dumps(values, allow_nan=False))


def add_list_options(parser: ArgumentParser) -> None:
    """Add what every list takes."""
    parser.add_argument(
        "--active",
        type=float,
        default=0,
        metavar="SECONDS",
        help="Only what was accessed in the last so many seconds.",
    )
    parser.add_argument("--json", action="store_true", help="Write JSON Lines: one object a line.")


def add_user(parser: ArgumentParser, **options: Any) -> None:
    """Add the argument USER, and how it is meant."""
    parser.add_argument(
        "user", metavar="USER", help="The username of a user, or the id; where both fit, say which.", **options
    )
    meant = parser.add_mutually_exclusive_group()
    meant.add_argument("--username", action="store_true", help="USER is a username.")
    meant.add_argument(
        "--id",
        action="store_true",
        help="USER is the id that sessions have, whether or not there is such a user in the database.",
    )


def chosen_user(options: dict[str, Any]) -> str:
    """Return the id of whom USER means; raises `CommandError` where that is nobody, or not clear."""
    text: str = options["user"]
    if options["id"]:
        return check_user_id(text)
    model: Any = user_model()
    if model is None:
        raise CommandError("This project has no users in its database: say --id, for the id that sessions have.")
    found = {*_ids_of(model, **{model.USERNAME_FIELD: text})}
    key = None if options["username"] else key_of(text)
    if key is not None:
        found |= {*_ids_of(model, pk=key)}
    if len(found) > 1:
        raise CommandError("USER is the username of one user and the id of another: say which, by --username or --id.")
    if not found:
        raise CommandError("There is no such user. Of one who is not in the database, give the id with --id.")
    return found.pop()


def named(items: Iterable[T], user_id: Callable[[T], str | None]) -> Iterator[tuple[T, str | None]]:
    """Give each item with the username of the user whose id it has; None: there is no such user."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == _BATCH:
            yield from _named(batch, user_id)
            batch = []
    yield from _named(batch, user_id)


def printable(text: str) -> str:
    """Return what a client may have sent, for a terminal: nothing in it that moves the cursor or ends a line."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _named(batch: list[T], user_id: Callable[[T], str | None]) -> Iterator[tuple[T, str | None]]:
    users = users_by_id({found for found in map(user_id, batch) if found is not None})
    names = {found: user.get_username() for found, user in users.items()}
    for item in batch:
        yield item, names.get(user_id(item) or "")


def _ids_of(model: Any, **lookup: Any) -> Iterator[str]:
    return map(user_id_of, model._base_manager.filter(**lookup)[:2])
