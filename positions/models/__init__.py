"""The tables, and the event that every write of a position makes, whichever way Django is used.

    agents, positions, events               columns and constraints
    owners                                  triggers: a wallet's owner is that of its agent
    tokens                                  families of tokens; written by positions.accounts
    user_changes                            a trigger: what ends a user ends the user's tokens
    sessions                                unused: of the release before
    trades                                  columns and constraints; rows are only added
    quotes                                  last known prices; written by positions.prices, without events
    quotas                                  what one user may have, where the operator has said so
    mints                                   decimals of tokens; written by positions.prices, without events
    history                                 candles and values; written by positions.history, without events
    restores                                the epoch of the database, and the restores that change it
    answers                                 what writes answered, for repeats; written by positions.api, without events
    fields                                  exact decimals on SQLite, counters, stored snapshots
    recording                               locks, the state before a write, numbered events; single saves
    deletions                               deletions, wherever they start
    querysets                               writes to many rows at once
    reading                                 long results, a part at a time
    guard                                   refuses writes of the ORM that would make no event
    primary                                 reads of a transaction go where it writes

New code should write through `positions.services`. Every wing above imports the models from here; this one imports
`positions.books`, `positions.installations`, `positions.errors` and `positions.signals` only.
"""

from positions.models.agents import LONGEST_ADDRESS, Agent, Mode, Wallet, base58
from positions.models.answers import StoredAnswer
from positions.models.events import LONGEST_NOTE, PositionEvent
from positions.models.history import AgentValue, Candle, PricedToken
from positions.models.mints import Mint
from positions.models.positions import Position
from positions.models.quotas import Quota
from positions.models.quotes import LastQuote
from positions.models.restores import Restore
from positions.models.sessions import EndedSession
from positions.models.tokens import TokenFamily
from positions.models.trades import Trade

__all__ = [
    "LONGEST_ADDRESS",
    "LONGEST_NOTE",
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
    "Quota",
    "Restore",
    "StoredAnswer",
    "TokenFamily",
    "Trade",
    "Wallet",
    "base58",
]
