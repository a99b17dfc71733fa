"""The tables, and the event that every write of a position makes, whichever way Django is used.

    agents, positions, events, sessions     columns and constraints
    trades                                  columns and constraints; rows are only added
    quotes                                  last known prices; written by positions.prices, without events
    mints                                   decimals of tokens; written by positions.prices, without events
    history                                 candles and values; written by positions.history, without events
    answers                                 what writes answered, for repeats; written by positions.api, without events
    fields                                  exact decimals on SQLite, counters, stored snapshots
    recording                               locks, the state before a write, numbered events; single saves and deletions
    querysets                               writes to many rows at once

New code should write through `positions.services`. Every wing above imports the models from here; this one imports
`positions.books` and `positions.signals` only.
"""

from positions.models.agents import LONGEST_ADDRESS, Agent, Mode, Wallet, base58
from positions.models.answers import StoredAnswer
from positions.models.events import PositionEvent
from positions.models.history import AgentValue, Candle, PricedToken
from positions.models.mints import Mint
from positions.models.positions import Position
from positions.models.quotes import LastQuote
from positions.models.sessions import EndedSession
from positions.models.trades import Trade

__all__ = [
    "LONGEST_ADDRESS",
    "Agent",
    "AgentValue",
    "Candle",
    "EndedSession",
    "LastQuote",
    "Mint",
    "Mode",
    "Position",
    "PositionEvent",
    "PricedToken",
    "StoredAnswer",
    "Trade",
    "Wallet",
    "base58",
]
