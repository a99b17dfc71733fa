"""A client of Nexgent: the positions of an agent, live and exact, and trades that are booked once.

async with Nexgent("http://127.0.0.1:4000", Login("demo", "demo")) as nexgent:
    stream = nexgent.follow(agent_id)
    async for message in stream:
        for position in stream.holdings: ...
"""

from nexgent_client.client import Nexgent
from nexgent_client.errors import (
    Ended,
    IncompatibleServer,
    LoginRequired,
    NexgentError,
    ProtocolError,
    ServerRefused,
)
from nexgent_client.holdings import Holdings
from nexgent_client.messages import (
    Changed,
    Closed,
    Closing,
    Connected,
    Message,
    Position,
    Prices,
    PriceUpdate,
    Refreshed,
    ServerError,
    Snapshot,
    Subscribed,
)
from nexgent_client.stream import Stream
from nexgent_client.tokens import Login, Token, TokenFrom

__all__ = [
    "Changed", "Closed", "Closing", "Connected", "Ended", "Holdings", "IncompatibleServer", "Login", "LoginRequired",
    "Message", "Nexgent", "NexgentError", "Position", "PriceUpdate", "Prices", "ProtocolError", "Refreshed",
    "ServerError", "ServerRefused", "Snapshot", "Stream", "Subscribed", "Token", "TokenFrom",
]  # fmt: skip
