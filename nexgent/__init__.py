"""The project: settings, addresses, the ASGI application. Imported before anything else of it."""

import gc

# There are hardly any cycles. Looking for them every 700 objects, so many times per round of prices, took 16 % of the
# time of a process with 5,000 sockets and 20,000 tokens (perf), and as much of the start of any process.
# More than 10,000 at a time are not looked at while sockets connect: that takes 3 ms, in which no price is sent.
gc.set_threshold(10_000, 100, 20)
