"""The Lua scripts as files: headers that say what they take, includes that resolve, nothing unbounded."""

from __future__ import annotations

import hashlib
import io
import re
import struct
from importlib.resources import files
from pathlib import Path

import lupa.lua51
import pytest

from redisess_core import scripts
from redisess_core.scripts import script

FOLDER = Path(str(files("redisess_core"))) / "lua"
NAMES = sorted(path.stem for path in FOLDER.glob("*.lua"))
INCLUDES = sorted(path.stem for path in (FOLDER / "include").glob("*.lua"))
OF_LUA = {
    "tonumber",
    "tostring",
    "ipairs",
    "next",
    "pairs",
    "pcall",
    "type",
    "unpack",
    "string",
    "table",
    "math",
    "redis",
    "KEYS",
    "ARGV",
}
COMMAND = re.compile(r"redis\.p?call\(\s*'(\w+)'([^\n]*)")


def source(name):
    return script(name).source.decode()


def code(text):
    """Lua without its comments and the content of its strings."""
    text = re.sub(r"--[^\n]*", "", text)
    return re.sub(r"'(?:[^'\\]|\\.)*'", "''", text)


def header(name):
    lines = (FOLDER / f"{name}.lua").read_text("utf-8").splitlines()
    return "\n".join(lines[: next(at for at, line in enumerate(lines) if not line.startswith("--"))])


def test_there_are_scripts():
    assert {"create", "open", "store", "rotate", "kill", "kill_many", "count", "wipe", "layout"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_script_says_what_it_does_takes_answers_and_costs(name):
    said = header(name)
    assert re.match(r"-- [a-z_]+(, [a-z_]+)*[^:]*: \S|-- A manager's first operation", said), said
    order = [said.index(f"\n-- {title}") for title in ("KEYS", "ARGV", "Reply:", "Cost:")]
    assert order == sorted(order)


@pytest.mark.parametrize("name", NAMES)
def test_the_keys_and_arguments_of_the_header_are_those_that_the_code_uses(name):
    said, body = header(name), source(name)
    keys = said[said.index("-- KEYS") : said.index("-- ARGV")]
    arguments = said[said.index("-- ARGV") : said.index("-- Reply")]
    for title, used in (("KEYS", keys), ("ARGV", arguments)):
        indexes = {int(at) for at in re.findall(rf"\b{title}\[(\d+)\]", code(body))}
        told = {int(at) for at in re.findall(r"(?<![\w.])(\d+)(?= )", used)}
        assert indexes <= told, f"{title}: {indexes - told} used and not told"


@pytest.mark.parametrize("name", NAMES)
def test_every_include_is_put_in_its_place_once(name):
    raw = (FOLDER / f"{name}.lua").read_text("utf-8")
    wanted = re.findall(r"-- @include (\w+)", raw)
    assert len(set(wanted)) == len(wanted)
    assert set(wanted) <= set(INCLUDES)
    assert "@include" not in source(name)
    for include in wanted:
        assert source(name).count((FOLDER / "include" / f"{include}.lua").read_text("utf-8")) == 1


def test_every_include_is_used_and_includes_nothing_itself():
    everything = "".join((FOLDER / f"{name}.lua").read_text("utf-8") for name in NAMES)
    for include in INCLUDES:
        text = (FOLDER / "include" / f"{include}.lua").read_text("utf-8")
        assert f"-- @include {include}\n" in everything
        assert "@include" not in text
        assert text.startswith("-- ")


@pytest.mark.parametrize("name", NAMES)
def test_a_script_is_named_by_the_digest_that_redis_names_it_by(name):
    loaded = script(name)
    assert loaded.name == name
    assert loaded.sha == hashlib.sha1(loaded.source).hexdigest()
    assert script(name) is loaded


def test_no_two_scripts_are_one():
    assert len({script(name).sha for name in NAMES}) == len(NAMES)


class Compiled:
    """What Lua 5.1, which Redis runs, makes of a source: the globals that it reads and writes."""

    GETGLOBAL, SETGLOBAL = 5, 7

    def __init__(self, text):
        lua = lupa.lua51.LuaRuntime(encoding=None)
        compiled = lua.eval(b"function(text) return string.dump(assert(loadstring(text))) end")(text.encode())
        assert compiled[:12] == b"\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00"  # 64 bits, little-endian
        self.bytes = io.BytesIO(compiled[12:])
        self.read, self.written = set(), set()
        self.function()

    def number(self, form):
        (found,) = struct.unpack(form, self.bytes.read(struct.calcsize(form)))
        return found

    def text(self):
        return self.bytes.read(self.number("<Q"))[:-1].decode("utf-8")

    def function(self):
        self.text()
        self.bytes.read(4 + 4 + 4)
        instructions = [self.number("<I") for _ in range(self.number("<i"))]
        constants = [self.constant() for _ in range(self.number("<i"))]
        for _ in range(self.number("<i")):
            self.function()
        self.bytes.read(4 * self.number("<i"))  # lines
        for _ in range(self.number("<i")):  # local variables
            self.text()
            self.bytes.read(8)
        for _ in range(self.number("<i")):  # upvalues
            self.text()
        for instruction in instructions:
            if instruction & 0x3F == self.GETGLOBAL:
                self.read.add(constants[instruction >> 14])
            elif instruction & 0x3F == self.SETGLOBAL:
                self.written.add(constants[instruction >> 14])

    def constant(self):
        kind = self.number("<B")
        return {0: lambda: None, 1: lambda: self.number("<?"), 3: lambda: self.number("<d"), 4: self.text}[kind]()


def test_the_compiler_tells_a_global_from_a_local():
    compiled = Compiled("local a = b; local function f(c) return a, c, d end; local d; e = f(d)")
    assert (compiled.read, compiled.written) == ({"b", "d"}, {"e"})


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_local_and_is_there_before_its_use(name):
    # A global, written or not yet defined, is an error in Redis, and only when that line runs.
    compiled = Compiled(source(name))
    assert compiled.written == set()
    assert compiled.read <= OF_LUA


@pytest.mark.parametrize("name", NAMES)
def test_no_script_runs_a_command_that_reads_everything(name):
    ran = {command for command, _ in COMMAND.findall(source(name))}
    assert ran
    assert not ran & {"KEYS", "SCAN", "SSCAN", "HSCAN", "SMEMBERS", "FLUSHDB", "FLUSHALL", "SORT", "EVAL"}
    assert not re.search(r"\bunpack\b(?!\(ARGV)", code(source(name)))


@pytest.mark.parametrize("name", NAMES)
def test_every_range_is_bounded(name):
    for command, arguments in COMMAND.findall(source(name)):
        if "BYSCORE" in command or "BYLEX" in command:
            assert "'LIMIT'" in arguments, arguments
        elif command == "ZSCAN":
            assert "'COUNT'" in arguments, arguments
        elif command in ("ZRANGE", "ZREVRANGE", "LRANGE"):
            assert not re.search(r"-1\b", arguments), arguments


@pytest.mark.parametrize("name", NAMES)
def test_no_script_uses_what_redis_6_2_has_not(name):
    newer = {"EXPIRETIME", "PEXPIRETIME", "HEXPIRE", "HPEXPIRE", "HGETEX", "HSETEX", "SINTERCARD", "ZMPOP", "FUNCTION"}
    assert not {command for command, _ in COMMAND.findall(source(name))} & newer
    assert not re.search(r"'PEXPIRE'[^\n]*'(NX|XX|GT|LT)'", source(name))
    assert "#!lua" not in source(name)


def test_a_slice_is_at_most_a_hundred_sessions_and_a_page_at_most_a_thousand_entries():
    from redisess_core.indexes import MEMBERS_PAGE, SESSIONS_PAGE

    limit = int(re.search(r"local SLICE = (\d+)", source("wipe"))[1])
    assert limit <= 100
    assert SESSIONS_PAGE + limit <= 1000
    assert MEMBERS_PAGE + limit <= 1000


def test_no_script_is_compiled_from_anything_but_its_file(monkeypatch):
    monkeypatch.setattr(scripts, "_read", lambda name: f"-- {name}\n")
    scripts.script.cache_clear()
    try:
        assert script("count").source == b"-- count\n"
    finally:
        scripts.script.cache_clear()


def test_every_key_and_every_field_is_described_beside_the_scripts():
    described = (FOLDER / "KEYS.md").read_text("utf-8")
    for key in ("activity", "expiry", "users", "layout", "s:", "u:"):
        assert key in described
    written = set(re.findall(r"'HSET', \w+, ((?:'\w'[^)]*))", "".join(source(name) for name in NAMES)))
    fields = {field for arguments in written for field in re.findall(r"'(\w)'", arguments)} | {"i", "g"}
    assert {"s", "u", "c", "a", "l", "t", "d", "n"} <= fields
    for field in fields:
        assert f"`{field}`" in described, field
