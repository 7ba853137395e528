"""Several clients edit one directory, in any interleaving and with writes that fail: each finds in it what it was told is there."""
from __future__ import annotations

from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability_slots import child_caps
from lafs.directory.directory import Directory
from lafs.directory.edits import Edit, Remove, Rename, SetChildren, SetMetadata
from lafs.errors import ChildExists, LafsError, NoSuchChild, UnhappyUpload
from lafs.interfaces import Child, NewChild, Replace
from lafs.tasks import spawn
from tests.directory.files import World, directory_cap
from tests.directory.test_packing import CHK, SSK

CLIENTS = 3
NAMES = st.sampled_from(["a", "b", "c", "\u00e9"])
CAPS = st.sampled_from([CHK, SSK, "URI:LIT:nbswy3dp"])
REPLACE: st.SearchStrategy[Replace] = st.sampled_from(["always", "never"])

State = dict[str, tuple[str, object]]
"""Name -> cap, and user metadata."""


@define(eq=False)
class Pending:
    """An edit that was asked for, and what came of it once that is known."""

    edit: Edit
    outcome: Deferred[Child | None]
    error: LafsError | None = None
    done: bool = False

    def succeed(self, _: object) -> None:
        self.done = True

    def fail(self, failure: object) -> None:
        self.done, self.error = True, failure.value  # type: ignore[attr-defined]


def applied(state: State, edit: Edit) -> State:
    """What `edit` makes of a directory, said as plainly as can be. Raises what it must raise."""
    state = dict(state)
    if isinstance(edit, SetChildren):
        for new in edit.children:
            if edit.replace == "never" and new.name in state:
                raise ChildExists
            old = state.get(new.name, (None, None))[1]
            state[new.name] = (new.caps.writable or new.caps.readonly or "", old)
    elif isinstance(edit, Remove):
        if edit.name not in state and edit.must_exist:
            raise NoSuchChild(edit.name)
        state.pop(edit.name, None)
    elif isinstance(edit, Rename) and edit.name != edit.new_name:
        if edit.name not in state:
            raise NoSuchChild(edit.name)
        if edit.replace == "never" and edit.new_name in state:
            raise ChildExists
        state[edit.new_name] = state.pop(edit.name)
    elif isinstance(edit, SetMetadata):
        if edit.name not in state:
            raise NoSuchChild(edit.name)
        state[edit.name] = (state[edit.name][0], edit.metadata["m"])
    return state


class Clients(RuleBasedStateMachine):
    """Every client edits names of its own, so that what it may expect follows from its own edits, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.cap = directory_cap()
        self.slot = self.world.slot(self.cap)
        self.clients = [self.world.client() for _ in range(CLIENTS)]
        self.pending: list[list[Pending]] = [[] for _ in range(CLIENTS)]
        self.confirmed: list[State] = [{} for _ in range(CLIENTS)]

    def directory(self, client: int) -> Directory:
        return self.clients[client].open(self.cap)

    def submit(self, client: int, edit: Edit) -> None:
        self.world.clock.advance(1.5)
        pending = Pending(edit, spawn(self.directory(client).edit(edit)))
        self.pending[client].append(pending)
        pending.outcome.addCallbacks(pending.succeed, pending.fail)

    @rule(client=st.integers(0, CLIENTS - 1), names=st.lists(NAMES, min_size=1, max_size=3, unique=True), cap=CAPS, replace=REPLACE)
    def add(self, client: int, names: list[str], cap: str, replace: Replace) -> None:
        children = tuple(NewChild(f"{client}{name}", child_caps(cap, None)) for name in names)
        self.submit(client, SetChildren(children, replace))

    @rule(client=st.integers(0, CLIENTS - 1), name=NAMES, must_exist=st.booleans())
    def remove(self, client: int, name: str, must_exist: bool) -> None:
        self.submit(client, Remove(f"{client}{name}", must_exist))

    @rule(client=st.integers(0, CLIENTS - 1), name=NAMES, new_name=NAMES, replace=REPLACE)
    def rename(self, client: int, name: str, new_name: str, replace: Replace) -> None:
        self.submit(client, Rename(f"{client}{name}", f"{client}{new_name}", replace))

    @rule(client=st.integers(0, CLIENTS - 1), name=NAMES, value=st.integers(0, 3))
    def annotate(self, client: int, name: str, value: int) -> None:
        self.submit(client, SetMetadata(f"{client}{name}", {"m": value}))

    @rule()
    def hold_writes(self) -> None:
        if self.slot.gate is None:
            self.slot.gate = Deferred()

    @rule()
    def let_writes_go(self) -> None:
        gate, self.slot.gate = self.slot.gate, None
        if gate is not None:
            gate.callback(None)

    @rule()
    def fail_writes(self) -> None:
        self.slot.failure = UnhappyUpload("no room") if self.slot.failure is None else None

    @rule(client=st.integers(0, CLIENTS - 1))
    def forget(self, client: int) -> None:
        """A client that lets go of its memory reads everything anew."""
        self.directory(client).known.forget()

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        failure, self.slot.failure = self.slot.failure, None
        for client in range(CLIENTS):
            if not all(each.done for each in self.pending[client]):
                continue
            state = self.confirmed[client]
            for each in self.pending[client]:
                if each.error is None:
                    state = applied(state, each.edit) if not self.is_retried_removal(state, each.edit) else state
                else:
                    assert isinstance(each.error, UnhappyUpload | ChildExists | NoSuchChild), each.error
            self.pending[client], self.confirmed[client] = [], state
            reader = self.world.client().open(self.cap)
            found: list[State] = []
            spawn(reader.list()).addCallback(
                lambda listing, found=found, client=client: found.append({
                    name: (child.caps.writable or child.caps.readonly, child.metadata.get("m"))
                    for name, child in listing.children.items() if name.startswith(str(client))
                })
            )
            assert found == [state], (found, state)
        self.slot.failure = failure

    @staticmethod
    def is_retried_removal(state: State, edit: Edit) -> bool:
        """After a collision the removal of a child that is not there counts as done, whoever removed it."""
        return isinstance(edit, Remove) and edit.name not in state

    def teardown(self) -> None:
        self.let_writes_go()
        self.what_was_acknowledged_is_there()
        assert not any(self.pending), "an edit was never answered"


class Model(SynchronousTestCase):
    def test_no_acknowledged_change_is_lost_and_none_is_half_made(self) -> None:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            Clients, settings=settings(max_examples=80, stateful_step_count=30, deadline=None)
        )
