"""The demo for programs: sign in for a token, and send it in a header from then on."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Blueprint, request
from werkzeug.exceptions import BadRequest

from redisess_cli.demo import words
from redisess_flask import current_session, login, logout, session_required, sessions

if TYPE_CHECKING:
    from redisess_core import Session

PREFIX: Final = "/api"
NAME_LENGTH: Final = 64  # characters, which are at most the 256 bytes of a user id

api: Final = Blueprint("api", __name__, url_prefix=PREFIX)


@api.post("/sign-in")
def sign_in() -> dict[str, str]:
    """Sign in by the header transport: the one answer of the demo that shows a token, to whom it was made for."""
    sent = request.get_json()
    try:
        name = checked_name(cast("dict[str, Any]", sent).get("name") if isinstance(sent, dict) else None)
    except ValueError as error:
        raise BadRequest(f'{error} Send {{"name": "..."}}.') from error
    login(name, transport="header")
    return {"token": current_session.token or ""}


@api.get("/me")
@session_required
def me() -> dict[str, Any]:
    """Tell who is signed in, and where else."""
    return {
        "user": current_session.user_id,
        "session": current_session.session_id,
        "expires_in": round(current_session.expires_in or 0),
        "devices": [_described(session) for session in sessions()],
    }


@api.post("/sign-out")
@session_required
def sign_out() -> tuple[str, int]:
    """Sign out: the token is worth nothing from now on."""
    logout()
    return "", 204


def checked_name(given: object) -> str:
    """Return *given* as a name to sign in under; raise `ValueError`, for people to read, if it cannot be one."""
    name = given.strip() if isinstance(given, str) else ""
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        raise ValueError(f"A name has 1 to {NAME_LENGTH} visible characters.")
    return name


def curl_lines(name: str) -> list[str]:
    """Write the lines that sign *name* in from a terminal, ask who is signed in, and sign out."""
    data, root = shlex.quote(json.dumps({"name": name}, ensure_ascii=False)), request.host_url.rstrip("/") + PREFIX
    bearer = '-H "Authorization: Bearer $TOKEN"'
    return [
        f"TOKEN=$(curl -s -H 'Content-Type: application/json' -d {data} {root}/sign-in | cut -d '\"' -f 4)",
        f"curl {bearer} {root}/me",
        f"curl -X POST {bearer} {root}/sign-out",
    ]


def _described(session: Session) -> dict[str, Any]:
    return {
        "session": session.session_id,
        "this": session.session_id == current_session.session_id,
        "client": words.client(session.user_agent).name,
        "address": session.ip,
        "created": words.iso(session.created),
        "idle": round(session.idle, 1),
    }
