"""The verbs of the command, and their options."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from redisess_cli.location import one_line
from redisess_core import RedisessError, __version__

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from redisess_cli.namespace import Finding

_SCHEMES: Final = "redis://, rediss://, unix://, redis+cluster://, redis+sentinel://"
app = typer.Typer(
    help="Redis sessions that you can count, list and kill.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they show local variables, tokens among them
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"redisess {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Redis sessions that you can count, list and kill."""


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen, on 127.0.0.1; 0: any free one.")] = 8000,
    url: Annotated[
        str, typer.Option(help=f"Where sessions are kept: {_SCHEMES}; memory:// needs no Redis.")
    ] = "memory://",
) -> None:
    """Try redisess in your browser: a small web app, on this machine only."""
    from redisess_cli.demo import run  # noqa: PLC0415  Flask takes its time, and no other verb wants it

    with _errors_said():
        run(url, port)


@app.command()
def check(
    url: Annotated[str, typer.Option(help=f"Where sessions are kept: {_SCHEMES}.")],
    namespace: Annotated[str, typer.Option(help="The prefix of the sessions' keys.")] = "sessions",
) -> None:
    """Look at a Redis server and at a namespace in it; no live session is changed."""
    from redisess_cli.check import findings  # noqa: PLC0415  as above

    with _errors_said():
        raise typer.Exit(_status_of(findings(url, namespace)))


@app.command()
def verify(
    url: Annotated[str, typer.Option(help=f"Where sessions are kept: {_SCHEMES}.")],
    namespace: Annotated[str, typer.Option(help="The prefix of the sessions' keys.")] = "sessions",
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what differs.")] = False,
) -> None:
    """Compare the indexes of a namespace, which may be in use, with its sessions; no live session is changed."""
    from redisess_cli.verify import findings  # noqa: PLC0415  as above

    with _errors_said():
        raise typer.Exit(_status_of(findings(url, namespace, repair=repair)))


def _status_of(findings: Iterable[Finding]) -> int:
    """Print a report, line by line as it comes; return the exit status that says whether all of it is sound."""
    sound = True
    for finding in findings:
        typer.echo(f"{finding.name:<14}{finding.text}")
        sound = sound and finding.sound
    return 0 if sound else 1


@contextmanager
def _errors_said() -> Generator[None]:
    """Say in one line what went wrong outside of this program."""
    try:
        yield
    except ModuleNotFoundError:
        raise
    except (RedisessError, ValueError, TypeError, ImportError, OSError) as error:
        typer.echo(f"redisess: {one_line(error)}", err=True)
        raise typer.Exit(1) from error
