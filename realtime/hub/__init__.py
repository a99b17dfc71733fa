"""One hub a server process: receives from the channel layer for all sockets, and sends each its own messages.

    hub                every socket of the process, and which of them a message concerns
    listener           what the channel layer delivers to the process
    position_events    the way of an event
    price_fan_out      the way of a round of prices, from `latest_prices`
    outbox             one socket's outgoing stream: in order, within bounds; `eager` starts its sends
    held_tokens        which tokens a stream holds; `token_index` finds the streams that hold one
    disconnects        which exceptions say that a client is gone
    guard              what happens to a stream when something that is done for it fails
    reconciler         what messages alone cannot guarantee, checked every few seconds
    token_bucket       how many connects and messages are accepted, in a burst and in the long run
    ownership          one socket per agent, over all processes
    presence           who is connected, over all processes
    queries, database  what is read from the database, and the threads on which it is

Imported by `socket`, `servers` and `web`; imports `monitoring` and `protocol`.
"""
