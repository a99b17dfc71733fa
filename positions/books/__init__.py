"""Accounting: cost, profit and value of a position, and its stored and wire formats.

Pure: no database, no network. Every other wing may import it; it imports `positions.errors` only.
"""
