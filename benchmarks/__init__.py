"""What this project costs, compared with the servers it runs on and with alternatives: `make bench`.

May import everything; nothing imports it but its own tests. docs/performance.md holds what it found.
"""
