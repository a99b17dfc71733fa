"""What was: candles, and an agent's results. Read by the API, written by the process that runs the feed.

    candles, candle_store       a round's prices become candles; how they are written, and deleted
    recorder                    the task that writes, beside the rounds
    reading                     spans of a series
    results                     profit of closed positions, and today's change

Imports models, prices and books.
"""
