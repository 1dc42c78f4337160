"""Under trio, which redis-py does not know: in a process of its own, whose threads end with it."""

from __future__ import annotations

import subprocess
import sys

SECONDS = 60
SCRIPT = """
import sys
import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from redisess_starlette import RedisessMiddleware, kill_user, login, logout

async def enter(request):
    login(request, "ada")
    return JSONResponse(None)

async def note(request):
    async def one(key):
        request.session[key] = 1
        await request.session.save()

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(one, f"k{number}")
    return JSONResponse(len(await request.session.sessions()))

async def me(request):
    return JSONResponse({"user": request.session.user_id, "data": request.session})

async def end(request):
    return JSONResponse(await kill_user(request, "ada"))

async def leave(request):
    logout(request)
    raise ValueError("the view's own")

async def socket(websocket):
    await websocket.accept()

routes = [Route(f"/{view.__name__}", view) for view in (enter, note, me, end, leave)]
ours = Middleware(RedisessMiddleware, sys.argv[1], namespace="trio", https_only=False)
app = Starlette(routes=[*routes, WebSocketRoute("/socket", socket)], middleware=[ours])
with TestClient(app, backend="trio", raise_server_exceptions=False) as client:
    assert client.get("/me").json() == {"user": None, "data": {}}
    client.get("/enter")
    assert client.get("/note").json() == 1
    assert client.get("/me").json() == {"user": "ada", "data": {f"k{number}": 1 for number in range(4)}}
    assert client.get("/leave").status_code == 500
    assert client.get("/me").json()["user"] is None
    client.get("/enter")
    assert client.get("/end").json() == 1
    assert client.get("/me").json()["user"] is None
    try:
        with client.websocket_connect("/socket"):
            pass
    except RuntimeError as error:
        assert "needs asyncio" in str(error), error
    else:
        raise AssertionError("no RuntimeError")
print("done")
"""


def test_requests_work_under_trio(redis_url):
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, redis_url],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", ""), ran.stderr
