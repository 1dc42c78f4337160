"""What the tests of engine and middleware share: a session in both colours, browsers, what a response sets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from django.test import AsyncClient, Client

from redisess_django.sessions import SessionStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNKNOWN_TOKEN = "1aa" + "a" * 26
"""What has the form of a token, and names no session."""

BACKEND = "django.contrib.auth.backends.ModelBackend"

Run = "Callable[[Coroutine[Any, Any, Any]], Any]"


class AwaitedStore:
    """A `SessionStore` of which each method is called by its async twin, if it has one."""

    def __init__(self, store: Any, run: Run) -> None:
        self.store = store
        self._run = run

    def __getattr__(self, name: str) -> Any:
        twin = getattr(self.store, f"a{name}", None)
        if callable(twin):
            return lambda *args, **named: self._run(twin(*args, **named))
        return getattr(self.store, name)

    def __setitem__(self, key: str, value: Any) -> None:
        self._run(self.store.aset(key, value))

    def __getitem__(self, key: str) -> Any:
        self._run(self.store.akeys())
        return self.store[key]

    def __delitem__(self, key: str) -> None:
        self._run(self.store.akeys())
        del self.store[key]

    def __contains__(self, key: str) -> bool:
        return self._run(self.store.ahas_key(key))


def make_store(colour: str, run: Run, key: str | None = None, kind: Any = SessionStore) -> Any:
    """Make a session of the engine, blocking or awaited."""
    return kind(key) if colour == "blocking" else AwaitedStore(kind(key), run)


class OwnCookieClient(AsyncClient):
    """One that sends no cookies of its own beside a `Cookie` header that it is given, as the blocking client does."""

    def _base_scope(self, **request: Any) -> Any:
        scope = super()._base_scope(**request)
        given, own = scope["headers"][:-1], scope["headers"][-1]
        scope["headers"] = given if any(name == b"cookie" for name, _ in given) else [*given, own]
        return scope


class Browser:
    """A client of one colour: `get("me")` visits the page of that colour, or of *views*, over WSGI or over ASGI."""

    def __init__(self, colour: str, *, views: str | None = None, **extra: Any) -> None:
        self.blocking = colour == "blocking"
        self._folder = "/" if (views or colour) == "blocking" else "/async/"
        self.client: Any = Client(**extra) if self.blocking else OwnCookieClient(**extra)
        self.client.raise_request_exception = False

    def get(self, path: str, headers: Mapping[str, str] | None = None, **extra: Any) -> Any:
        """Visit a page; *headers* by their names."""
        return self.ask("get", path, headers, **extra)

    def post(self, path: str, headers: Mapping[str, str] | None = None, **extra: Any) -> Any:
        """Post to a page."""
        return self.ask("post", path, headers, **extra)

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **extra: Any) -> Any:
        """Send a request."""
        path = path if path.startswith("/") else self._folder + path
        visit = getattr(self.client, method)
        if self.blocking:
            return visit(path, headers=headers, **extra)
        return asyncio.run(visit(path, headers=headers, **extra))

    @property
    def token(self) -> str | None:
        """The token in its cookie; None: there is no cookie, or an empty one."""
        cookie = self.client.cookies.get("sessionid")
        return cookie.value or None if cookie else None


def by_cookie(token: str, name: str = "sessionid") -> dict[str, str]:
    """Give the headers of a browser that holds *token*."""
    return {"Cookie": f"{name}={token}"}


def bearer(token: str) -> dict[str, str]:
    """Give the headers of a client without cookies that holds *token*."""
    return {"Authorization": f"Bearer {token}"}


class SetCookie(NamedTuple):
    """One `Set-Cookie`, its attributes' names in lower case; a flag's value is ''."""

    name: str
    value: str
    attributes: dict[str, str]

    @property
    def removes(self) -> bool:
        return not self.value and self.attributes["max-age"] == "0" and " 1970 " in self.attributes["expires"]


def cookies_set(response: Any) -> list[SetCookie]:
    """Read every `Set-Cookie` of a response."""
    return list(_parsed(morsel.OutputString() for morsel in response.cookies.values()))


def _parsed(lines: Iterator[str]) -> Iterator[SetCookie]:
    for line in lines:
        pair, *attributes = line.split("; ")
        name, value = pair.split("=", 1)
        split = (attribute.partition("=") for attribute in attributes)
        yield SetCookie(name, value.strip('"'), {key.lower(): text for key, _, text in split})


def vary_of(response: Any) -> list[str]:
    """Give the members of a response's `Vary`, in lower case."""
    return [member.strip().lower() for member in response.headers.get("Vary", "").split(",") if member.strip()]


def stored_keys(client: Any) -> list[bytes]:
    """Give every key in Redis but the record of a namespace."""
    return sorted(key for key in client.scan_iter() if not key.endswith(b":layout"))
