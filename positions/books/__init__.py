"""What a position cost, earned and is worth, and the forms in which it is stored and told.

Pure: no database, no network. Every other wing may import it; it imports none of them.
"""
