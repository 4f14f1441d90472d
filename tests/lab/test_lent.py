"""A held board lent: used under its holder's lock, by one at a time, and never by two when the holder ends first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.errors import BoardBusy
from harness.lab import holder, lease

HOLD = """
import sys
from harness.lab.lease import acquire
acquire("b1", "borrowed")
print(1, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    pid = holder.hold("b1", "lender")
    monkeypatch.setenv("HIL_LEASE", f"b1={pid}")
    yield pid
    holder.let_go("b1")


def test_a_lent_board_is_used_by_one_at_a_time(lent: int) -> None:
    with lease.lease("b1", "first"):
        who = lease.holder("b1")
        assert who is not None and who.pid == lent, "the lender is who holds it"
        with pytest.raises(BoardBusy, match="first"), lease.lease("b1", "second"):
            pytest.fail("used twice")
    with lease.lease("b1", "second"):
        pass


def test_other_boards_are_not_lent(lent: int) -> None:
    other = holder.hold("b2", "somebody")
    with pytest.raises(BoardBusy, match="somebody"), lease.lease("b2", "me"):
        pytest.fail("not ours")
    assert other and holder.let_go("b2")


@pytest.mark.parametrize("said", ["b1=", "b1=1", "b1=x", "b1", "=", "b10={}"])
def test_only_the_holders_number_lends(said: str, lent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_LEASE", said.format(lent))
    with pytest.raises(BoardBusy, match="lender"), lease.lease("b1", "me"):
        pytest.fail("not ours")


def test_who_borrowed_keeps_it_when_the_lender_ends(lent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None and user.stdout.readline() == b"1\n"
        holder_before = lease.holder("b1")
        subprocess.run(["kill", "-9", str(lent)], check=True)
        with pytest.raises(BoardBusy, match="borrowed"), lease.lease("b1", "me", wait=0.5):
            pytest.fail("used twice")
        who = lease.holder("b1")
        assert holder_before is not None and who is not None and who.reason == "borrowed"
    with lease.lease("b1", "me"):
        pass


def test_after_the_lender_ended_it_is_a_board_as_any(lent: int) -> None:
    holder.let_go("b1")
    with lease.lease("b1", "me"):
        who = lease.holder("b1")
        assert who is not None and who.reason == "me"
