"""One hub per server process: receives from the channel layer for all sockets, and sends each its own messages.

    hub                every socket of the process, and which of them a message concerns
    listener           what the channel layer delivers to the process
    position_events    sends events
    price_fan_out      sends rounds of prices, which `latest_prices` stores
    outbox             one socket's outgoing stream: in order, within bounds; `eager` starts its sends
    held_tokens        which tokens a stream holds; `token_index` finds the streams that hold one
    disconnects        which exceptions say that a client is gone
    guard              closes a stream when work for it fails
    reconciler         checks every few seconds what messages alone cannot guarantee
    token_bucket       limits connects and messages, in a burst and on average
    ownership          one socket per agent, across all processes
    presence           who is connected, across all processes
    queries, database  what sockets read from the database, and the threads that do

Imported by `socket`, `servers` and `web`; imports `monitoring` and `protocol`.
"""
