"""What other code calls to reach sockets, and the receivers that do so when models change.

Beside `hub`, which listens at the other end of the channel layer: neither imports the other.
"""
