"""The demo as a Flask app: its configuration, its pages, and what it answers when something is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Flask, jsonify, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException, Unauthorized

from redisess_cli.demo import guard, words
from redisess_cli.demo.api import PREFIX, api
from redisess_cli.demo.pages import pages
from redisess_cli.location import shown
from redisess_core import __version__
from redisess_flask import Redisess

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

NAMESPACE: Final = "redisess-demo"
_LARGEST_FORM: Final = 16 * 1024  # bytes
_PASSED_ON: Final = ("Allow", "Retry-After", "WWW-Authenticate")  # of an error's headers
_TITLES: Final = {
    403: "This was refused",
    404: "There is no such page",
    500: "Something went wrong here",
    503: "Redis cannot be reached",
}
_EXPLAINED: Final = {
    404: "The address may be mistyped.",
    500: "The terminal that runs the demo says what it was.",
    503: "You are still signed in: try again in a moment. A session store that is away signs nobody out.",
}


def create_app(url: str, **configuration: Any) -> Flask:
    """Make the demo, with its sessions at *url*. Raises as `SessionManager` does; nothing is sent yet."""
    app = Flask("redisess_cli.demo")
    app.config.from_mapping(
        REDISESS_URL=url,
        REDISESS_NAMESPACE=NAMESPACE,
        SESSION_COOKIE_NAME="redisess_demo",  # cookies know no port: other apps of this machine have a "session"
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=_LARGEST_FORM,
        **configuration,
    )
    Redisess(app)
    guard.protect(app)
    app.register_blueprint(pages)
    app.register_blueprint(api)
    app.register_error_handler(Unauthorized, _ask_to_sign_in)
    app.register_error_handler(HTTPException, _explain)
    pages_environment: Any = app.jinja_env  # its types are those of what Jinja itself puts there
    pages_environment.filters |= {function.__name__: function for function in words.SHOWN}
    pages_environment.globals |= {"version": __version__, "namespace": NAMESPACE, "store": shown(url)}
    pages_environment.trim_blocks = pages_environment.lstrip_blocks = True
    return app


def _ask_to_sign_in(error: Unauthorized) -> ResponseReturnValue:
    """Lead a browser to the form, which says why; tell a program."""
    return _explain(error) if _is_program() else redirect(url_for("pages.sign_in"), 303)


def _explain(error: HTTPException) -> ResponseReturnValue:
    """Say what is wrong: without the session, for it may be what is wrong."""
    code = error.code or 500
    headers: dict[str, Any] = {name: value for name, value in error.get_headers() if name in _PASSED_ON}
    if _is_program():
        return jsonify(error=_EXPLAINED.get(code, error.description)), code, headers
    title, text = _TITLES.get(code, error.name), _EXPLAINED.get(code, error.description)
    return render_template("error.html", code=code, title=title, text=text), code, headers


def _is_program() -> bool:
    return request.path.startswith(f"{PREFIX}/")
