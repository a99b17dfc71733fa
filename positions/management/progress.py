"""A line that shows how far a command is: rewritten in place on a terminal, one line after the other elsewhere."""

from __future__ import annotations

from positions.management.output import Output


class Progress:
    def __init__(self, out: Output) -> None:
        self._out = out
        self._is_written = False

    def show(self, line: str) -> None:
        if self._out.isatty():
            self._out.rewrite(line)
            self._out.flush()
            self._is_written = True
        else:
            self._out.write(line)

    def end(self) -> None:
        """Leave the line that was rewritten."""
        if self._is_written:
            self._out.write("")
            self._is_written = False
