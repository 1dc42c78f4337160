"""The site that `sockets_kit.Live` runs: `python sockets_site.py '{"fd": 3, "url": ..., "namespace": ...}'`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from contextlib import suppress
from typing import Any

import uvicorn
from sockets_kit import answering
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from redisess_starlette import RedisessMiddleware, manager

held: dict[str, asyncio.Event] = {}


async def index(request: Any) -> Any:
    return PlainTextResponse("hello")


async def me(request: Any) -> Any:
    session = request.session
    return JSONResponse({"user": session.user_id, "id": session.session_id, "data": dict(session)})


async def sign_in(request: Any) -> Any:
    request.session.login(request.path_params["user"])
    return JSONResponse({"id": request.session.session_id})


async def sign_out(request: Any) -> Any:
    request.session.logout()
    return PlainTextResponse("bye")


async def put(request: Any) -> Any:
    request.session[request.path_params["key"]] = request.path_params["value"]
    return PlainTextResponse("stored")


async def put_when_let_go(request: Any) -> Any:
    """Change a key after somebody said `/go`; the manager's count of who waits is at `/waiting`."""
    name = request.path_params["key"]
    held[name] = asyncio.Event()
    await held[name].wait()
    request.session[name] = "late"
    return PlainTextResponse("stored")


async def waiting(request: Any) -> Any:
    return JSONResponse(sum(not event.is_set() for event in held.values()))


async def go(request: Any) -> Any:
    for event in held.values():
        event.set()
    return PlainTextResponse("gone")


async def stream(request: Any) -> Any:
    """Store a key, then send bytes for ever, or as many as asked for."""
    request.session[request.path_params["key"]] = "streamed"
    chunks = int(request.query_params.get("chunks", 1_000_000))

    async def body() -> Any:
        for _ in range(chunks):
            yield b"x" * 1000
            await asyncio.sleep(0)

    return StreamingResponse(body())


async def failing(request: Any) -> Any:
    request.session[request.path_params["key"]] = "of a request that failed"
    raise ValueError("the app's own")


async def tasks(request: Any) -> Any:
    await manager(request).now()
    return JSONResponse([task.get_name() for task in asyncio.all_tasks() if "redisess" in task.get_name()])


async def flooding(websocket: Any) -> None:
    """Send without end what cannot be compressed, and take nothing."""
    await websocket.accept()
    noise = os.urandom(1_000_000)
    with suppress(WebSocketDisconnect):
        while True:
            await websocket.send_bytes(noise)
            await asyncio.sleep(0)  # else a reader who is fast enough keeps the whole loop to itself


async def deaf(websocket: Any) -> None:
    """Notice nothing, not even that the client leaves."""
    await websocket.accept()
    await websocket.send_text("open")
    await asyncio.Event().wait()


async def cart(websocket: Any) -> None:
    """Begin a session at the accept."""
    websocket.session["cart"] = "apple"
    await answering(websocket)


def make(url: str, namespace: str, **options: Any) -> Starlette:
    app = Starlette(
        routes=[
            Route("/", index),
            Route("/me", me),
            Route("/login/{user}", sign_in, methods=["POST"]),
            Route("/logout", sign_out, methods=["POST"]),
            Route("/set/{key}/{value}", put, methods=["GET", "POST"]),
            Route("/late/{key}", put_when_let_go, methods=["POST"]),
            Route("/waiting", waiting),
            Route("/go", go, methods=["POST"]),
            Route("/stream/{key}", stream),
            Route("/failing/{key}", failing),
            Route("/tasks", tasks),
            WebSocketRoute("/ws", answering),
            WebSocketRoute("/flood", flooding),
            WebSocketRoute("/deaf", deaf),
            WebSocketRoute("/cart", cart),
        ]
    )
    app.add_middleware(RedisessMiddleware, url, namespace=namespace, https_only=False, **options)
    return app


def main() -> None:
    said = json.loads(sys.argv[1])
    server = {key: said.pop(key) for key in [*said] if key in {"ws", "loop", "timeout_graceful_shutdown"}}
    with socket.socket(fileno=said.pop("fd")) as listening:
        uvicorn.Server(uvicorn.Config(make(**said), log_level="info", **server)).run(sockets=[listening])


if __name__ == "__main__":
    main()
