"""What a framework has to offer for the story to be told over it. An adapter adds a site of its own, and joins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Answer(NamedTuple):
    """What a browser makes of a response."""

    status: int
    body: Any
    """The JSON of a 200; of anything else it does not matter."""
    sets_cookie: bool
    """Whether the session's cookie was set or removed."""
    retry_after: str | None = None
    """The header that says when to try again."""


class Browser(Protocol):
    """A browser with cookies of its own, or a client that sends a token by header. Every call is one request."""

    def me(self) -> Answer:
        """GET /me: `{"user": ..., "id": ..., "data": {...}}`, of nobody with None."""

    def sign_in(self, user: str) -> Answer:
        """POST /sign-in/<user>."""

    def sign_out(self) -> Answer:
        """POST /sign-out."""

    def put(self, key: str, value: str) -> Answer:
        """POST /put/<key>/<value>: store session data."""

    def devices(self) -> Answer:
        """GET /devices: a list of `{"id": ..., "browser": ...}`; 401 for nobody."""

    def end(self, session_id: str) -> Answer:
        """POST /devices/end/<session_id>: `{"ended": bool}`."""

    def end_others(self) -> Answer:
        """POST /devices/end-others: `{"ended": int}`."""

    def end_all(self) -> Answer:
        """POST /devices/end-all: `{"ended": int}`."""

    def secret(self) -> Answer:
        """GET /secret: 200 only for who signed in within the last 60 seconds; else 401."""

    @property
    def token(self) -> str | None:
        """The token that it holds."""


class Site(Protocol):
    """One framework's app over a real Redis."""

    def browser(self, user_agent: str = "Firefox") -> Browser:
        """A browser without cookies."""

    def header_client(self, user: str) -> Browser:
        """A client without cookies that signed in as *user*, and sends its token by header."""

    manager: Any
    """A blocking manager of the same namespace: what an administrator has."""


class OpenSite(Protocol):
    """What the module `<framework>_browsing` offers as `open_site`."""

    def __call__(self, url: str, **options: Any) -> AbstractContextManager[Site]:
        """Open the site over the Redis of *url*; *options* are those of the one table."""
