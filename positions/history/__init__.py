"""What was: candles, values and results. Read by the API, written by the process that runs the feed.

    candles, candle_store       a round's prices become candles; how they are written, and deleted
    extremes, peaks             the highest and lowest prices of positions
    values, transfers           what agents' positions are worth, and what went in and out
    recorder                    the task that writes, beside the rounds
    reading                     spans of a series
    results, performance        what closed positions brought, and today's change

Imports models, prices and books.
"""
