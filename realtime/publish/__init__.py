"""Sends to sockets: functions for other code, and the receivers that call them when models change.

On the same layer as `hub`, which listens at the other end of the channel layer: neither imports the other.
"""
