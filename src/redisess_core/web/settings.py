"""The one table of options: every adapter reads it, each in its framework's own way of naming them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Final

from redisess_core.manager import SessionManager


@dataclass(frozen=True, slots=True)
class Option:
    """An option by its name, its default and what it means; the manager checks what it is given."""

    name: str
    default: Any
    meaning: str


def _default(name: str) -> Any:
    return inspect.signature(SessionManager).parameters[name].default


MANAGER_OPTIONS: Final = tuple(
    Option(name, _default(name), meaning)
    for name, meaning in (
        ("namespace", "prefix of every key; managers with different namespaces never meet"),
        ("additional_fields", "names of application fields of a session"),
        ("ttl", "idle timeout in seconds; 0: none"),
        ("max_lifetime", "absolute timeout in seconds from the creation, anew from a sign-in; None: none"),
        ("touch_interval", "a touch is written at most this often per session, in seconds; 0: every time"),
        ("max_sessions_per_user", "the most live sessions of one user; None: no limit"),
        ("on_limit", '"evict" ends those of longest ago last access, "refuse" refuses the sign-in'),
        ("record_client", "keep the remote address and the user agent with a session"),
        ("max_data_bytes", "the most that one session's data may take"),
        ("shards", "hash slots that the namespace is spread over; None: 1, or 64 for a cluster client"),
        ("clock", "seconds since the epoch, for tests; None: the server's clock"),
    )
)
WEB_OPTIONS: Final = (
    Option("header", "Authorization", "where a client without cookies sends its token; None: nowhere"),
    Option("skip", None, "a callable of the request: True where no session is to be opened"),
    Option("clear_site_data", False, "send Clear-Site-Data with a sign-out"),
)
STORE_OPTIONS: Final = (
    Option(
        "url",
        "redis://localhost:6379/0",
        "where Redis is: redis://, rediss://, unix://, redis+cluster://, redis+sentinel:// or memory://",
    ),
    Option("client", None, "a client of redis-py, instead of the URL"),
)
OPTIONS: Final = (*STORE_OPTIONS, *MANAGER_OPTIONS, *WEB_OPTIONS)
