"""The rows, and the event that every write of a position leaves, whichever way it is made.

    agents, positions, events, sessions     what is stored, and what the database itself holds to
    fields                                  decimals that SQLite keeps digit for digit, numbers that only grow
    recording                               locks, the state before a write, and the numbered rows of the log
    querysets, receivers                    where writes come in: many rows at once, and one at a time

`services` is where writes should be made. Anyone above may import the models from here; this wing imports
`positions.books` only.
"""

from positions.models.agents import Agent, Mode, Wallet, base58
from positions.models.events import PositionEvent
from positions.models.positions import Position
from positions.models.sessions import EndedSession

__all__ = ["Agent", "EndedSession", "Mode", "Position", "PositionEvent", "Wallet", "base58"]
