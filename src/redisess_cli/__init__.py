"""The `redisess` command: its libraries come with the extra `cli`, and are imported when a verb wants them."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command; without the extra only `--version` works, and the rest says what to install."""
    try:
        _run()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or missing.startswith("redisess"):
            raise
        sys.exit(f'redisess: {missing} is not installed, which this needs: pip install "redisess[cli]"')
    except KeyboardInterrupt:
        sys.exit(130)


def _run() -> None:
    if sys.argv[1:] == ["--version"]:
        from redisess_core import __version__  # noqa: PLC0415  imports take a while, and Ctrl+C may come meanwhile

        sys.stdout.write(f"redisess {__version__}\n")
        return
    from redisess_cli.command import app  # noqa: PLC0415  needs the extra

    app(prog_name="redisess")
