"""What this project costs, measured beside what it stands on and what it is compared with: `make bench`.

May import everything; nothing imports it but its own tests. docs/performance.md holds what it found.
"""
