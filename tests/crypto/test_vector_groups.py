"""No known answer is left unasked."""
from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.vectors_loader import load

TESTS = Path(__file__).parent.parent


def groups_named_in(source: str) -> set[str]:
    """The literal arguments of all calls of `group`."""
    return {
        call.args[0].value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "group"
        and call.args and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


class Completeness(SynchronousTestCase):
    """Every group of crypto_and_caps.json has a test."""

    def test_every_group_is_used_by_a_test(self) -> None:
        ours = [*TESTS.glob("test_capability*.py"), *TESTS.glob("crypto/test_*.py")]
        used = set().union(*(groups_named_in(path.read_text(encoding="utf-8")) for path in ours))
        self.assertEqual(set(load("crypto_and_caps")["groups"]) - used, set())
