"""What the admin's tests read of its pages."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = "/admin/redisess_django/session/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def text_of(page: Any) -> str:
    """Give a page's text as it is written, but for character references."""
    assert page.status_code == 200, page
    return html.unescape(page.content.decode())


def users_on(page: Any) -> list[str]:
    """Give the users in the rows of a list, from the top."""
    cells = re.findall(r'<th scope="row" class="field-user">(.*?)</th>', page.content.decode(), re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]*>", "", cell)) for cell in cells]


def given(page: Any, pattern: str) -> str:
    """Give what *pattern* finds first in a page, or nothing."""
    found = re.search(pattern, page.content.decode())
    return html.unescape(found[1]) if found else ""


def pages_from(browser: Any, url: str) -> list[list[str]]:
    """Give the users in the rows of each page, following the links."""
    found = []
    while url:
        page = browser.get(url)
        found.append(users_on(page))
        following = given(page, r'href="([^"]*)" rel="next"')
        url = following and PAGE + following
    return found


def meddling(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """Be a middleware that calls what the test put into the request, when the session is open."""

    def answer(request: Any) -> Any:
        request.META.get("test.meddle", lambda: None)()
        return get_response(request)

    return answer
