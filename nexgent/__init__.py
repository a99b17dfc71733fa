"""The project: settings, addresses, the ASGI application. Imported before anything else of it."""

import gc

# There are hardly any cycles. Looking for them every 700 objects, so many times per round of prices, took 16 % of the
# time of a process with 5,000 sockets and 20,000 tokens (perf), and as much of the start of any process.
#
# What is looked at in one go is looked at in one turn of the event loop: 1,500 new objects, and in the second step at
# most 9,000, take up to 1 and 5 ms. Once a second step had a million, 0.5 s of CPU, in which no price was sent, while
# 5,000 sockets connected (2026-11-26). Each object is looked at twice either way. All of them are looked at after 22
# million new ones; servers look at the new ones sooner, at all of them later, when it delays nobody much, and have a
# shorter second step while sockets start (realtime/hub/garbage.py).
gc.set_threshold(1_500, 4, 3_000)
