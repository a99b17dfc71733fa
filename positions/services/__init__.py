"""Every write to positions and trades, as verbs: one transaction each; the event is sent on commit.

For views, the admin, commands and other apps. What only one command or admin page uses (`importing`, `exporting`,
`checking`, `correcting`, `demo`) is imported from its module. Imports models, prices and books; never `api`, `admin` or
`accounts`.
"""

from positions.services.mints import migrate_token
from positions.services.positions import buy_more, close_position, move_stop_loss, open_position, take_profit
from positions.services.transfers import book_airdrop, transfer_in, transfer_out

__all__ = [
    "book_airdrop",
    "buy_more",
    "close_position",
    "migrate_token",
    "move_stop_loss",
    "open_position",
    "take_profit",
    "transfer_in",
    "transfer_out",
]
