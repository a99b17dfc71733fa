"""One hub per server process: receives from the channel layer for all sockets, and sends each its own messages.

    hub                every socket of the process, and which of them a message concerns
    listener           what the channel layer delivers to the process
    position_events    sends events
    price_groups       joins the shards of tokens that are held here; `price_rounds` puts a round together
    price_fan_out      sends rounds of prices, which `latest_prices` stores
    outbox             one socket's outgoing stream: in order, within bounds; `writer` and `eager` send it
    early_events       events of a stream that wait for those before them
    price_keys         numbers for tokens, and rows, of clients with compact prices
    held_tokens        which tokens a stream holds; `token_index` finds the streams that hold one
    garbage            when a process looks for garbage, and among which objects
    disconnects        which exceptions say that a client is gone
    guard              closes a stream when work for it fails
    reconciler         checks every few seconds what messages alone cannot guarantee
    shares             what each user takes of the process: connects, sockets, work, memory
    shared_snapshots   what one socket of an agent was just sent, for the others that start
    turns              long work in slices, starts of many sockets a few at a time: turns for everybody else
    token_bucket       limits connects, messages and work, in a burst and on average
    sockets            the streams of the process by agent: owners and watchers
    membership         joins and leaves agents' groups, for many sockets at once
    ownership          one owning socket per agent, across all processes
    watchers           the places of those that watch beside it
    presence           who is connected, across all processes
    batches            answers together what many ask at the same time
    arrivals           what sockets that start read: `holdings`, and the events they have `missed`; by `rows`
    queries, database  what else sockets read from the database, and the threads that do

Imported by `socket`, `servers` and `web`; imports `monitoring` and `protocol`.
"""
