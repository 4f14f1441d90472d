"""Which xdist worker runs which scenario, when boards are few: a pytest-xdist scheduler.

xdist's own schedulers know nothing of boards: a worker with a scenario for a board that is in use would wait, beside
boards that stand idle. Here a worker belongs to one target at a time, at most as many workers as the target has boards,
and takes its scenarios one by one from the target's queue: boards of the same kind share the work, the faster one does
more. When its queue is empty it moves to another target that has a board to spare.

A worker begins a scenario only when it knows the next one or that there is none, so two are sent ahead. What a dead
worker had not begun goes back to the front of the queue.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from xdist.workermanage import WorkerController as Node  # type: ignore[import-untyped]

AHEAD = 2


def target_of(nodeid: str, targets: Sequence[str]) -> str:
    """`h563` of `scenarios/tls12.toml::T12-03[h563-r12-chacha]`. "" for what is no scenario of a target."""
    inside = nodeid.rpartition("::")[2].partition("[")[2]
    fits = [target for target in targets if inside.startswith(f"{target}-")]
    return max(fits, key=len, default="")


class BoardScheduling:
    """xdist's `Scheduling` protocol. `boards`: how many each target has; a target that is not named has any number."""

    def __init__(self, nodes: int, boards: Mapping[str, int], target: Callable[[str], str]) -> None:
        self.numnodes = nodes
        self.collection: list[str] | None = None
        self._boards = boards
        self._target = target
        self._collected: dict[Node, list[str]] = {}
        self._pending: dict[Node, list[int]] = {}
        self._home: dict[Node, str] = {}
        self._queue: dict[str, deque[int]] = {}

    # -- what xdist asks --

    @property
    def nodes(self) -> list[Node]:
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        return len(self._collected) >= self.numnodes

    @property
    def tests_finished(self) -> bool:
        """Nothing is left to hand out, and every worker has at most the scenario it is in."""
        if not self.collection_is_completed or any(self._queue.values()):
            return False
        return all(len(pending) < AHEAD for pending in self._pending.values())

    @property
    def has_pending(self) -> bool:
        return any(self._queue.values()) or any(self._pending.values())

    def add_node(self, node: Node) -> None:
        self._pending[node] = []

    def add_node_collection(self, node: Node, collection: Sequence[str]) -> None:
        if self.collection is not None and list(collection) != self.collection:
            return  # of a replacement that sees other scenarios: it gets none
        self._collected[node] = list(collection)

    def schedule(self) -> None:
        if self.collection is None:
            first, *others = self._collected.values()
            if any(other != first for other in others):
                raise RuntimeError("the workers collected different scenarios")
            self.collection = first
            for number, nodeid in enumerate(first):
                self._queue.setdefault(self._target(nodeid), deque()).append(number)
        for node in self.nodes:
            self._feed(node)

    def mark_test_complete(self, node: Node, item_index: int, duration: float = 0) -> None:
        self._pending[node].remove(item_index)
        self._feed(node)

    def mark_test_pending(self, item: str) -> None:
        assert self.collection is not None
        self._queue.setdefault(self._target(item), deque()).appendleft(self.collection.index(item))
        for node in self.nodes:
            self._feed(node)

    def remove_pending_tests_from_node(self, node: Node, indices: Sequence[int]) -> None:
        raise NotImplementedError  # only for schedulers that steal

    def remove_node(self, node: Node) -> str | None:
        """Returns the scenario that a worker died in, None when it ended in order."""
        pending = self._pending.pop(node)
        self._home.pop(node, None)
        if not pending:
            return None
        assert self.collection is not None
        crashed, *rest = (self.collection[number] for number in pending)
        for nodeid in reversed(rest):
            self._queue.setdefault(self._target(nodeid), deque()).appendleft(self.collection.index(nodeid))
        for other in self.nodes:
            self._feed(other)
        return crashed

    # -- inside --

    def _feed(self, node: Node) -> None:
        """Two scenarios ahead, or the word that there are no more."""
        if node.shutting_down or node not in self._collected:
            return
        while len(self._pending[node]) < AHEAD:
            number = self._next(node)
            if number is None:
                self._home.pop(node, None)
                node.shutdown()
                return
            self._pending[node].append(number)
            node.send_runtest_some([number])

    def _next(self, node: Node) -> int | None:
        home = self._home.get(node)
        if home is None or not self._queue.get(home):
            home = self._choose(node)
            if home is None:
                return None
            self._home[node] = home
        return self._queue[home].popleft()

    def _choose(self, node: Node) -> str | None:
        """The target with most left for each worker, those with few boards first, if it has a board to spare."""
        there = Counter(home for other, home in self._home.items() if other is not node)
        open_ = [t for t, left in self._queue.items() if left and (t not in self._boards or there[t] < self._boards[t])]
        return max(open_, key=lambda t: (t in self._boards, len(self._queue[t]) / (there[t] + 1)), default=None)


def scheduler(config: pytest.Config, boards: Mapping[str, int], targets: Sequence[str]) -> BoardScheduling:
    from xdist.workermanage import parse_tx_spec_config

    return BoardScheduling(len(parse_tx_spec_config(config)), boards, lambda nodeid: target_of(nodeid, targets))
