"""The option `--url`: what is wrong with one, and how it is shown without its secrets."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from redisess_core import RedisessError, StoreUnavailable
from redisess_core.wording import said_by

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def reaching(url: str) -> Generator[None]:
    """Do what reaches the server of *url*: its errors become a `ValueError` or `RedisessError` that tells where."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"--url: {error}") from error
    except (RedisessError, RedisError, OSError) as error:
        said = error.__cause__ if isinstance(error, StoreUnavailable) and error.__cause__ else error
        raise RedisessError(f"cannot use {shown(url)}: {said_by(said)}") from error


def shown(url: str) -> str:
    """Return *url* without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def one_line(error: BaseException) -> str:
    """Return what *error* says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
