"""`flask sessions`: look at the app's sessions, and end them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click
from flask.cli import AppGroup

from redisess_core import RedisessError
from redisess_core.wording import counted
from redisess_flask.helpers import manager

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from redisess_core import Session

sessions: Final = AppGroup("sessions", help="Look at sessions, and end them.")

_active: Final[Callable[[Any], Any]] = click.option(
    "--active",
    "secs",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Only those accessed in the last so many seconds.",
)


@sessions.command("list")
@click.argument("user_id", required=False)
@_active
def list_sessions(user_id: str | None, secs: float) -> None:
    """List live sessions, of one user or all: id, user, seconds idle, address, user agent."""
    with _errors_said():
        if user_id is None:
            for session in manager().iter_sessions(secs):
                click.echo(_line(session))
        else:
            for session in manager().list_user_sessions(user_id, secs):
                click.echo(_line(session))


@sessions.command("users")
@_active
def list_users(secs: float) -> None:
    """List users with a live session, most recently active first."""
    with _errors_said():
        for user_id in manager().get_all_users(secs):
            click.echo(_printable(user_id))


@sessions.command("count")
@_active
def count(secs: float) -> None:
    """Count live sessions and the users who have one."""
    with _errors_said():
        click.echo(f"{counted(manager().count(secs), 'session')}, {counted(manager().count_users(secs), 'user')}")


@sessions.command("kill")
@click.argument("session_id")
def kill(session_id: str) -> None:
    """End one session."""
    with _errors_said():
        if not manager().kill(session_id):
            raise click.ClickException("no live session of that id")  # not shown: it may be a token
        click.echo(f"ended {session_id}")


@sessions.command("kill-user")
@click.argument("user_id")
def kill_user(user_id: str) -> None:
    """End all sessions of a user."""
    with _errors_said():
        click.echo(f"ended {counted(manager().kill_user(user_id), 'session')}")


@sessions.command("wipe")
def wipe() -> None:
    """Remove what is left of expired sessions; nobody has to."""
    with _errors_said():
        click.echo(f"removed {counted(manager().wipe(), 'expired session')}")


@contextmanager
def _errors_said() -> Generator[None]:
    try:
        yield
    except (RedisessError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _line(session: Session) -> str:
    shown = (session.user_id, f"{session.idle:.0f}s", session.ip, session.user_agent)
    return "  ".join((session.session_id, *(_printable(text or "-") for text in shown)))


def _printable(text: str) -> str:
    """Return what a client may have sent, for a terminal: nothing in it that moves the cursor or ends a line."""
    return "".join(character if character.isprintable() else "?" for character in text)
