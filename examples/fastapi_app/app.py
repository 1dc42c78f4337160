"""A chat with FastAPI and redisess: sign in by form or for a token, see your devices, end them, and talk.

Run it with `uvicorn --app-dir examples/fastapi_app app:app`; README.md beside this file says what to look at.
"""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Form, HTTPException, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, RedirectResponse
from pydantic import BaseModel

from redisess_starlette import RedisessMiddleware
from redisess_starlette.fastapi import BlockingSession, CurrentSession, FreshSession, RequiredSession

SALT = secrets.token_bytes(16)


def hashed(password: str) -> bytes:
    return hashlib.scrypt(password.encode(), salt=SALT, n=2**14, r=8, p=1)


PASSWORDS = {"ada": hashed("engine"), "grace": hashed("nanosecond")}
NOBODY = hashed(secrets.token_hex())  # so that an unknown name takes as long as a wrong password
PAGE = Path(__file__).with_name("page.html")

app = FastAPI(title="A chat")
app.add_middleware(
    RedisessMiddleware,
    store=os.environ.get("REDIS_URL", "memory://"),
    namespace="chat",
    max_sessions_per_user=5,
    https_only=False,  # to be tried on a machine of one's own; leave it out where the site has HTTPS
)


class Credentials(BaseModel):
    name: str
    password: str


def checked(given: Credentials) -> str:
    """Return the user's name; raises 401."""
    if not hmac.compare_digest(PASSWORDS.get(given.name, NOBODY), hashed(given.password)):
        raise HTTPException(401, "No such name with this password.")
    return given.name


def of_form(form: Annotated[Credentials, Form()]) -> str:
    return checked(form)


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(PAGE)


@app.post("/sign-in")
def sign_in(name: Annotated[str, Depends(of_form)], session: BlockingSession) -> RedirectResponse:
    session.login(name)  # a new token, in the cookie
    return RedirectResponse("/", 303)


@app.post("/token")
def token(name: Annotated[str, Depends(checked)], session: BlockingSession) -> dict[str, str | None]:
    session.login(name, transport="header")  # no cookie: the client sends the token from now on
    return {"token": session.token}


@app.post("/sign-out", status_code=204)
async def sign_out(session: CurrentSession) -> None:
    session.logout()


@app.get("/me")
async def me(session: RequiredSession) -> dict[str, str | float | None]:
    return {"user": session.user_id, "id": session.session_id, "signed_in_at": session.authenticated_at}


@app.get("/devices")
async def devices(session: RequiredSession) -> list[dict[str, str | float | bool | None]]:
    return [
        {
            "id": each.session_id,
            "browser": each.user_agent,
            "address": each.ip,
            "last_access": each.last_access,
            "here": each.session_id == session.session_id,
        }
        for each in await session.sessions()
    ]


@app.delete("/devices/{session_id}", status_code=204)
async def end_device(session_id: str, session: RequiredSession) -> None:
    if not await session.end_session(session_id):  # one of this user's own, or nothing happens
        raise HTTPException(404, "You have no such device.")


@app.delete("/devices", dependencies=[FreshSession(300)])  # who signed in in the last five minutes
async def end_other_devices(session: RequiredSession) -> dict[str, int]:
    return {"ended": await session.logout_others()}


room: set[WebSocket] = set()


@app.websocket("/chat")
async def chat(socket: WebSocket, session: RequiredSession) -> None:
    await socket.accept()
    room.add(socket)
    try:
        async for text in socket.iter_text():  # until the session ends: then the socket is closed with 4401
            await session.touch()  # who talks stays signed in
            for each in [*room]:
                with suppress(WebSocketDisconnect, RuntimeError):  # somebody who is just leaving
                    await each.send_text(f"{session.user_id}: {text}")
    finally:
        room.discard(socket)
