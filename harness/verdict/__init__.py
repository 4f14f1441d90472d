"""Verdict: scenario + events + diagnosis → `Verdict`. Pure: no I/O, no clock."""
