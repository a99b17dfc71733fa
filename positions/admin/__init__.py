"""Agents, wallets, positions and events in Django's admin: to look, to correct, to close, to take along as CSV.

Nobody imports it but Django, and `realtime.admin`, which adds what sockets do.
"""

from positions.admin.pages import AgentAdmin

__all__ = ["AgentAdmin"]
