"""Every write to positions and trades, as verbs: one transaction each; the event is sent on commit. And making agents
and wallets, within their owner's quotas.

For views, the admin, commands and other apps. What only one command or admin page uses (`importing`, `exporting`,
`checking`, `correcting`, `demo`) is imported from its module. Imports models, prices and books; never `api`, `admin` or
`accounts`.
"""

from positions.services.agents import create_agent, create_wallet
from positions.services.mints import migrate_token
from positions.services.positions import buy_more, close_position, move_stop_loss, open_position
from positions.services.take_profits import plan_take_profits, take_profit
from positions.services.transfers import book_airdrop, transfer_in, transfer_out

__all__ = [
    "book_airdrop",
    "buy_more",
    "close_position",
    "create_agent",
    "create_wallet",
    "migrate_token",
    "move_stop_loss",
    "open_position",
    "plan_take_profits",
    "take_profit",
    "transfer_in",
    "transfer_out",
]
