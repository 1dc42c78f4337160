"""The pages that the tests read: the README and docs, their code and their tables."""

from __future__ import annotations

import ast
import inspect
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from flask import Flask

import redisess_flask  # noqa: F401  registers its own types here, not first in a page
from redisess_core import SessionManager, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
URL_IN_PAGES = "redis://localhost:6379/0"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(page: str, section: str = "") -> str:
    """Give the text of a page, or of what is under one of its headings."""
    text = (ROOT / page).read_text("utf-8")
    if not section:
        return text
    level = len(section.split(" ", maxsplit=1)[0])
    rest = text.partition(f"\n{section}\n")[2]
    assert rest, f"{page} has no heading {section!r}"
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def code_of(page: Path, url: str, section: str = "") -> str:
    """Give the Python of a page or a section, each block at its own lines, so that a traceback leads to the page."""
    text = page.read_text("utf-8")
    wanted = text_of(str(page.relative_to(ROOT)), section)
    lines = [""] * (text.count("\n") + 1)
    for found in BLOCK.finditer(text, text.index(wanted), text.index(wanted) + len(wanted)):
        block = found[1].replace(URL_IN_PAGES, url).splitlines()
        first = text.count("\n", 0, found.start(1))
        lines[first : first + len(block)] = block
    return "\n".join(lines)


@contextmanager
def page_run(page: Path, url: str, section: str = "") -> Iterator[dict[str, Any]]:
    """Run the Python of a page or a section as one module; close what it opened, and forget its types."""
    module: dict[str, Any] = {"__name__": "page"}
    try:
        with patch.dict(values._BY_TAG), patch.dict(values._BY_TYPE):
            exec(compile(code_of(page, url, section), page, "exec", dont_inherit=True), module)
            yield module
    finally:
        for value in module.values():
            if type(value) is SessionManager:
                value.close()
            elif type(value) is Flask:
                value.extensions["redisess"].manager.close()


def rows_in(text: str) -> list[list[str]]:
    """Give the cells of each row of the tables in a text."""
    return [row.split(" | ") for row in re.findall(r"^\| (.*) \|$", text, re.MULTILINE)]


def names_in(text: str) -> set[str]:
    """Give everything in backquotes in the first cells of the tables in a text."""
    return {name for first, *_ in rows_in(text) for name in re.findall(r"`([^`]+)`", first)}


def signatures_in(text: str) -> dict[str, list[str]]:
    """Give the methods that are in first cells, and the names of their arguments."""
    found: dict[str, list[str]] = {}
    for shown in names_in(text):
        if shown.endswith(")"):
            definition = ast.parse(f"def {shown}: ...").body[0]
            assert isinstance(definition, ast.FunctionDef)
            found[definition.name] = _names(ast.unparse(definition.args).split(", "))
    return found


def signature_of(function: Callable[..., Any]) -> list[str]:
    """Give the names of a function's arguments, as `signatures_in` does."""
    signature = inspect.signature(function)
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    shown = str(signature.replace(parameters=parameters, return_annotation=signature.empty)).strip("()")
    return _names(shown.split(", "))


def _names(arguments: list[str]) -> list[str]:
    return [name for argument in arguments if (name := argument.split("=")[0]) not in ("", "self", "/")]
