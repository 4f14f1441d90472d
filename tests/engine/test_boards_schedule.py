"""The scheduler for few boards, with workers that are only names."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from harness.schedule import BoardScheduling, target_of

TARGETS = ("h563", "h563-b", "native")


class Worker:
    """As much of xdist's WorkerController as a scheduler uses. Runs an item when it knows the next, or the end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.queue: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        assert not self.shutting_down
        self.queue += indices

    def shutdown(self) -> None:
        self.shutting_down = True

    def ready(self) -> bool:
        return len(self.queue) > 1 or (self.shutting_down and bool(self.queue))


def items(**count: int) -> list[str]:
    return [f"scenarios/tls12.toml::T12-{n:02}[{target}-r12]" for target, many in count.items() for n in range(many)]


def scheduling(boards: dict[str, int], workers: int, wanted: list[str]) -> tuple[BoardScheduling, list[Worker]]:
    made = BoardScheduling(workers, boards, lambda nodeid: target_of(nodeid, TARGETS))
    crew = [Worker(f"gw{n}") for n in range(workers)]
    for worker in crew:
        made.add_node(worker)
        made.add_node_collection(worker, wanted)
    assert made.collection_is_completed
    made.schedule()
    return made, crew


def test_targets_by_name() -> None:
    assert target_of("scenarios/x.toml::T12-01[h563-r12-mutual]", TARGETS) == "h563"
    assert target_of("scenarios/x.toml::T12-01[h563-b-r12-mutual]#3", TARGETS) == "h563-b"
    assert target_of("scenarios/x.toml::T12-01[other-r12]", TARGETS) == ""


@pytest.mark.parametrize("seed", range(30))
def test_everything_runs_once_and_no_board_is_waited_for(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    boards = {"h563": dice.randint(1, 3), "h563-b": 1}
    wanted = items(h563=dice.randint(0, 40), **{"h563-b": dice.randint(1, 20)}, native=dice.randint(0, 20))
    made, crew = scheduling(boards, sum(boards.values()) + dice.randint(0, 2), wanted)
    ran: list[str] = []
    deaths = 0
    while busy := [worker for worker in crew if worker.ready()]:
        # What runs now, each worker its first item: never more of a target than it has boards.
        now = Counter(target_of(wanted[worker.queue[0]], TARGETS) for worker in busy)
        for target, limit in boards.items():
            assert deaths or now[target] <= limit, (now, boards)
        worker = dice.choice(busy)
        index = worker.queue.pop(0)
        if dice.random() < 0.1:
            worker.queue.insert(0, index)
            assert made.remove_node(worker) == wanted[index]
            ran.append(wanted[index])
            crew.remove(worker)
            deaths += 1
            fresh = Worker(f"{worker.name}'")
            crew.append(fresh)
            made.add_node(fresh)
            made.add_node_collection(fresh, wanted)
            made.schedule()
            continue
        ran.append(wanted[index])
        made.mark_test_complete(worker, index)
    assert Counter(ran) == Counter(wanted)
    assert made.tests_finished and not made.has_pending


def test_boards_of_a_kind_share_the_work() -> None:
    """The faster one does more."""
    wanted = items(h563=40)
    made, (slow, fast) = scheduling({"h563": 2}, 2, wanted)
    done = Counter[str]()
    for turn in range(1000):
        for worker in (slow, fast):
            if worker.ready() and (worker is fast or turn % 4 == 0):
                made.mark_test_complete(worker, worker.queue.pop(0))
                done[worker.name] += 1
    assert sum(done.values()) == 40 and done["gw1"] > 2 * done["gw0"]


def test_a_replacement_that_collects_other_scenarios_gets_none() -> None:
    wanted = items(h563=4)
    made, (worker,) = scheduling({"h563": 1}, 1, wanted)
    made.remove_node(worker)
    odd = Worker("gw1")
    made.add_node(odd)
    made.add_node_collection(odd, wanted[1:])
    made.schedule()
    assert odd.queue == [] and made.has_pending
