"""What is said: messages and requests of the socket, and the envelopes in which processes tell each other.

Pure: no I/O, and nothing of the other wings. Everyone may import it.
"""
