"""The headers of a response: what the client and caches are to know of the session."""

from __future__ import annotations

from functools import lru_cache, reduce
from typing import TYPE_CHECKING

from redisess_core.web import CookieChange, cache_control_for_token, merge_vary

if TYPE_CHECKING:
    from starlette.types import Message

    from redisess_starlette.session import StarletteExchange
    from redisess_starlette.state import State

Headers = list[tuple[bytes, bytes]]


def say(state: State, exchange: StarletteExchange, message: Message) -> None:
    """Put into the message that starts a response, or accepts a WebSocket, what came of the session; once."""
    outcome = exchange.outcome
    changed = outcome.cookie is not CookieChange.KEEP
    if not (outcome.accessed or changed or outcome.token_shown):
        return
    headers: Headers = list(message.get("headers", ()))
    message["headers"] = headers
    if outcome.accessed or changed:
        names = state.transport.vary(exchange.found.source)
        _put(headers, b"vary", _varying(", ".join(_values(headers, b"vary")), names))
    if cookie := exchange.cookie_header(state.policy, max_age=state.max_age):
        headers.append((b"set-cookie", cookie.encode("latin-1")))
    if outcome.token_shown:
        said = _values(headers, b"cache-control")
        _put(headers, b"cache-control", cache_control_for_token(", ".join(said) if said else None))
    if state.clear_site_data and (cleared := outcome.clear_site_data):
        headers.append((b"clear-site-data", cleared.encode("latin-1")))
    outcome.cookie = CookieChange.KEEP  # from now on


@lru_cache(maxsize=64)  # an app says but few things
def _varying(said: str, names: tuple[str, ...]) -> str:
    return reduce(merge_vary, names, said)


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for known, value in headers if known.lower() == name]


def _put(headers: Headers, name: bytes, value: str) -> None:
    headers[:] = [(known, said) for known, said in headers if known.lower() != name]
    headers.append((name, value.encode("latin-1")))
