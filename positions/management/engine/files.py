"""An export as files: one JSON document, or a CSV file of each table in a folder or a zip."""

from __future__ import annotations

import csv
import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile
from zipfile import Path as ZipPath

import msgspec
from django.core.management.base import CommandError

from positions.management.engine.tables import TABLES, column_name, table_name

LARGEST_CELL = 2**31 - 1
"""What the engine got from Jupiter is a cell of a transaction, which may have more than Python's 128 KiB by default."""


@dataclass(slots=True)
class Export:
    tables: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """The rows of each table that is read, in the file's order: CSV has strings and "" for null, JSON what JSON has."""
    ignored: list[str] = field(default_factory=list)
    """Tables and columns that are not read, in a sentence each."""

    def add(self, written: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Raises CommandError where the table is there twice, or lacks a column."""
        table = TABLES.get(table_name(written))
        if table is None:
            self.ignored.append(f"{written}: not imported")
            return
        if table.name in self.tables:
            raise CommandError(f"The export has {table.name} twice.")
        columns: dict[str, str] = {}
        found = self.tables[table.name] = []
        for row in rows:
            columns |= {column: column_name(column) for column in row if column not in columns}
            named = ((columns[column], value) for column, value in row.items())
            found.append({name: value for name, value in named if name in table.needed or name in table.read})
        if found and (missing := sorted(table.needed - set(columns.values()))):
            raise CommandError(f"{table.name} lacks {', '.join(missing)}.")
        for written_column, name in columns.items():
            if name not in table.known:
                self.ignored.append(f"{table.name}: the column {written_column} is unknown, and ignored")


def read_export(path: Path) -> Export:
    """Read a file or folder into memory. Raises CommandError."""
    try:
        return _read(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 (byte {error.start}).") from error
    except (ValueError, RecursionError, msgspec.DecodeError, BadZipFile, csv.Error) as error:
        raise CommandError(f"{path} is neither JSON nor a folder or zip of CSV files: {error}.") from error


def _read(path: Path) -> Export:
    export = Export()
    if path.is_dir() or is_zipfile(path):
        folder: Any = path if path.is_dir() else ZipPath(path)
        found = sorted((each for each in folder.iterdir() if each.name.lower().endswith(".csv")), key=str)
        if not found:
            raise CommandError(f"{path} has no CSV files, such as agent_transactions.csv.")
        for each in found:
            with each.open("r", encoding="utf-8-sig", newline="") as file:
                export.add(each.name[: -len(".csv")], _lines(each.name, file))
        return export
    for name, raw in _document(path).items():
        export.add(name, _objects(name, raw or []))  # None: json_agg of no rows
    return export


def _document(path: Path) -> dict[str, list[msgspec.Raw] | None]:
    text = path.read_bytes().removeprefix(BOM_UTF8)
    try:
        return msgspec.json.decode(text, type=dict[str, list[msgspec.Raw] | None])
    except msgspec.ValidationError as error:
        raise CommandError(
            f"{path} must be a JSON object that has an array of rows for each table: {error}."
        ) from error


def _objects(name: str, raw: list[msgspec.Raw]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows, each decoded when it is wanted: all of them at once take several times the memory."""
    for number, text in enumerate(raw, start=1):
        row = json.loads(bytes(text), parse_float=Decimal)
        if not isinstance(row, dict):
            raise CommandError(f"{name} row {number} must be an object, whose keys are columns.")
        yield row


def _lines(name: str, file: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(LARGEST_CELL)
    reader = csv.reader(file, strict=True)
    header = next(reader, [])
    for number, cells in enumerate(reader, start=1):
        if len(cells) != len(header):
            raise CommandError(f"{name}, row {number}: {len(cells)} cells, but {len(header)} columns.")
        yield dict(zip(header, cells, strict=True))
