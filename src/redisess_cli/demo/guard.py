"""What every request and response passes: nothing from other sites gets in, nothing foreign is loaded.

Forms carry no token against forgery, for a browser itself says where a request comes from, and no page can make it lie:
`Sec-Fetch-Site`, and `Origin` where that is not known. What comes from elsewhere is refused. `SameSite` alone would not
do, as to a browser every port of this machine is the same site. A client that says neither is no browser of today, and
carries nobody's cookie but its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.exceptions import BadRequest, Forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HOSTS: Final = ("127.0.0.1", "localhost")
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_POLICY: Final = (
    "default-src 'none'",
    *(f"{what} 'self'" for what in ("style-src", "script-src", "img-src", "form-action")),
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
_HEADERS: Final = (
    ("Content-Security-Policy", "; ".join(_POLICY)),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),  # with no-referrer, a form's Origin would be null
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_NOT_KEPT: Final = ("Cache-Control", "no-store")  # or the Back button shows what a signed-out browser must not see


def protect(app: Flask) -> None:
    """Refuse what comes from other sites, and put the headers on every response, that of an error too."""
    app.before_request(_refuse_foreign)
    vars(app)["wsgi_app"] = _with_headers(app.wsgi_app)


def _refuse_foreign() -> None:
    # A name that somebody else lets point at this machine would make their page one of ours.
    if urlsplit(request.host_url).hostname not in _HOSTS:
        raise BadRequest(f"The demo answers at {' and '.join(_HOSTS)} only.")
    if request.method in _SAFE:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        own = site in ("same-origin", "none")
    else:
        own = origin is None or origin == request.host_url.rstrip("/")
    if not own:
        raise Forbidden("This came from another site, and nothing was done. Use the demo's own pages.")


def _with_headers(app: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            kept = any(name.lower() == "cache-control" for name, _ in headers)
            return start_response(status, [*headers, *_HEADERS, *(() if kept else (_NOT_KEPT,))], *rest)

        return app(environ, start)

    return answer
