"""One compile database of all our C that a host compiles, for clang-tidy: OUT DATABASE-FOLDER…, the first folder that
has a file gives its command. A tracked source that no folder has, and that is in none of the lists below, is an error:
it would be checked by nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Only a cross compiler takes these (cppcheck reads them all the same), or only a fuzzing build has them.
NOT_HERE = (
    "firmware_shims/boards/cmsdk/", "firmware_shims/boards/cortexm/", "firmware_shims/boards/f405/",
    "firmware_shims/boards/f429/", "firmware_shims/net/ethernet.c", "firmware_shims/net/slip.c",
)  # fmt: skip


def entries(folder: Path) -> dict[str, dict[str, str]]:
    """Ours of one folder's database, by path."""
    found: dict[str, dict[str, str]] = {}
    for entry in json.loads((folder / "compile_commands.json").read_text()):
        path = (Path(entry["directory"]) / entry["file"]).resolve()
        if path.is_relative_to(ROOT):
            found.setdefault(str(path.relative_to(ROOT)), entry)
    return found


def main() -> int:
    out, *folders = map(Path, sys.argv[1:])
    tracked = subprocess.run(
        ["git", "ls-files", "harness/*.c", "firmware_shims/*.c"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    chosen: dict[str, dict[str, str]] = {}
    for folder in folders:
        for path, entry in entries(folder).items():
            if path in tracked and "/fuzz/" not in path:
                chosen.setdefault(path, entry)
    missing = [p for p in tracked if p not in chosen and "/fuzz/" not in p and not p.startswith(NOT_HERE)]
    for path in missing:
        print(f"lint: {path} is compiled by none of {', '.join(map(str, folders))}", file=sys.stderr)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(list(chosen.values()), indent=1))
    print("\n".join(chosen))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
