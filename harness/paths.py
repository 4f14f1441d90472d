"""Where things are: the repository's folders, and the built host programs. `HIL_BIN` overrides the latter."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
BIN = Path(os.environ.get("HIL_BIN", BUILD / "host" / "bin"))
CERTS = ROOT / "certs"
PROFILES = ROOT / "broker_configs"
SCENARIOS = ROOT / "scenarios"
TARGETS = ROOT / "firmware_shims" / "targets"
RUNS = ROOT / "reports" / "runs"
CAUSES = ROOT / "harness" / "diagnosis" / "causes.toml"
