"""The messages: of the socket, in both directions, and the envelopes between processes; which group brings a price.

No I/O, and imports no other wing; `envelopes` packs the event rows of `positions`, `price_envelopes` its prices.
Everyone may import it.
"""
