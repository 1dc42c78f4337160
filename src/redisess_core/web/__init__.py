"""What the web adapters share: no framework, no I/O of its own. A request goes through the modules like this.

The adapter finds the token (`transport`), makes an exchange and opens it (`exchange`), hands the view a session
(`request_session`), closes the exchange, which stores what the view wanted (`exchange_plans`), and sends the headers
that the outcome and the cookie policy give (`cookie`). What answers an error that reached no view is in `refusal`,
what a client is called in `device`.
"""

from redisess_core.web.cookie import CookiePolicy, SameSite, default_name
from redisess_core.web.device import Device, device_of
from redisess_core.web.exchange import (
    AsyncExchange,
    BlockingExchange,
    Exchange,
    is_token_of,
)
from redisess_core.web.outcome import CookieChange, Happening, Outcome
from redisess_core.web.refusal import REFUSALS, Refusal, refusal_of
from redisess_core.web.request_session import AsyncRequestSession, RequestSession
from redisess_core.web.request_state import TransportName
from redisess_core.web.settings import MANAGER_OPTIONS, OPTIONS, STORE_OPTIONS, WEB_OPTIONS, Option
from redisess_core.web.transport import (
    Found,
    Source,
    Transport,
    asgi_headers,
    cache_control_for_token,
    merge_vary,
    wsgi_headers,
    wsgi_name,
)

__all__ = [
    "MANAGER_OPTIONS",
    "OPTIONS",
    "REFUSALS",
    "STORE_OPTIONS",
    "WEB_OPTIONS",
    "AsyncExchange",
    "AsyncRequestSession",
    "BlockingExchange",
    "CookieChange",
    "CookiePolicy",
    "Device",
    "Exchange",
    "Found",
    "Happening",
    "Option",
    "Outcome",
    "Refusal",
    "RequestSession",
    "SameSite",
    "Source",
    "Transport",
    "TransportName",
    "asgi_headers",
    "cache_control_for_token",
    "default_name",
    "device_of",
    "is_token_of",
    "merge_vary",
    "refusal_of",
    "wsgi_headers",
    "wsgi_name",
]
