"""The messages: of the socket, in both directions, and the envelopes between processes.

Pure: no I/O, and imports no other wing. Everyone may import it.
"""
