"""History: candles, values and results. Read by the API, written by the process that runs the feed.

    candles, candle_store       a round's prices become candles; how they are written, and deleted
    extremes, peaks             the highest and lowest prices of positions
    values, market, transfers   the value of agents' positions, and their net flow of SOL
    recorder                    the task that writes, in parallel with the rounds
    pruning                     deletes old rows
    reading                     spans of a series
    day                         how the day began, from which today's change is counted
    results, performance        the results of closed positions, and today's change
    overview                    all agents of a user, and their totals
    sales                       what closed positions were sold at

Imports models, prices and books.
"""
