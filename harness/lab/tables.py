"""TOML tables that may inherit (`like`) and be repeated over values (`each`): situations stay data.

    ["r12"]
    versions = ["1.2"]
    ["r12-suite-{suite}"]           # one table for each suite; names are lower-cased after substitution
    like = "r12"
    each = { suite = ["ECDHE-RSA-AES128-GCM-SHA256", …] }
    suites12 = ["{suite}"]

`like` may name a table made by `each`. Several keys in `each` make their product. `abstract = true` keeps a table
that only serves to be inherited from out of the result. Errors are `UsageError`s that name file and path.
"""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.errors import UsageError

T = TypeVar("T")
Table = dict[str, Any]
Located = tuple[Path, Table]
MAX_FILE = 4 << 20  # bytes; the largest of ours has 60 KB


def read(path: Path) -> Table:
    """The tables of one TOML file. Raises UsageError when it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise UsageError(f"{path}: more than {MAX_FILE >> 20} MB", "name a file of tables")
        return tomllib.loads(data.decode())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "name an existing TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}", "correct the file") from error
    except RecursionError:  # a package's table is somebody else's
        raise UsageError(f"{path}: nested too deeply", "correct the file") from None


def expand(files: dict[Path, Table]) -> dict[str, Located]:
    """All tables of `files` with `each` multiplied and `like` resolved, by name; each with the file it is in."""
    raw: dict[str, Located] = {}
    for path, tables in files.items():
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise UsageError(f"{path}: `{name}` is not a table", "put it into a table with a name")
            for made, body in _multiply(path, name, table):
                if made in raw:
                    raise UsageError(f"{path}: [{made}] is defined twice", f"the first is in {raw[made][0]}")
                raw[made] = (path, body)
    resolved = {name: (raw[name][0], _inherit(name, raw, ())) for name in raw}
    return {name: (path, table) for name, (path, table) in resolved.items() if not _abstract(raw[name][1])}


def convert(path: Path, name: str, table: Table, kind: type[T]) -> T:
    """`table` as `kind`; an unknown key or a wrong type becomes a UsageError with file, table and key."""
    try:
        return msgspec.convert(table, kind, strict=True)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: [{name}]: {_place(error)}", "see the comment on top of the file") from error


def _place(error: msgspec.ValidationError) -> str:
    """msgspec says `… - at `$.key``: put into the words of a TOML file."""
    text, _, where = str(error).partition(" - at `$")
    key = where.rstrip("`").lstrip(".")
    return f"key `{key}`: {text}" if key else text


def _abstract(table: Table) -> bool:
    return table.get("abstract") is True


def _multiply(path: Path, name: str, table: Table) -> list[tuple[str, Table]]:
    each = table.get("each", {})
    if not isinstance(each, dict) or not all(isinstance(v, list) for v in each.values()):
        raise UsageError(f"{path}: [{name}]: key `each`: expected a table of lists", "each = { x = [\"a\"] }")
    body = {key: value for key, value in table.items() if key != "each"}
    made = []
    for values in itertools.product(*each.values()):
        known = dict(zip(each, values, strict=True))
        made.append((str(_substitute(path, name, name, known)).lower(), _substitute(path, name, body, known)))
    return made


def _substitute(path: Path, name: str, value: Any, known: Table) -> Any:
    if isinstance(value, str) and known:
        try:
            return value.format_map(known)
        except (KeyError, ValueError, IndexError) as error:
            raise UsageError(f"{path}: [{name}]: `{value}` names what `each` lacks: {error}", "") from error
    if isinstance(value, list):
        return [_substitute(path, name, item, known) for item in value]
    if isinstance(value, dict):
        return {key: _substitute(path, name, item, known) for key, item in value.items()}
    return value


def _inherit(name: str, raw: dict[str, Located], seen: tuple[str, ...]) -> Table:
    path, table = raw[name]
    if name in seen:
        raise UsageError(f"{path}: [{name}]: key `like` goes in a circle: {' → '.join((*seen, name))}")
    own = {key: value for key, value in table.items() if key not in ("like", "abstract")}
    parent = table.get("like")
    if parent is None:
        return own
    if not isinstance(parent, str) or parent not in raw:
        raise UsageError(f"{path}: [{name}]: key `like`: no table `{parent}`", "name a table of the same kind")
    return _inherit(parent, raw, (*seen, name)) | own
