"""What `manage.py import_engine` reads: an export of the original trading engine's database.

`files` (JSON, CSV, zip; `tables` names what is read) → `rows` (values, checked: `cells`, `records`) → `swaps` (trades)
→ `stories` (which belong to which position) → `trades`, for `positions.services.importing`. `making` and `comparing`
use the database.
"""
