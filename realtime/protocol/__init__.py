"""The messages: of the socket, in both directions, and the envelopes between processes.

No I/O, and imports no other wing; `envelopes` packs the event rows of `positions`. Everyone may import it.
"""
