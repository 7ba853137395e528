"""Accounts: what the file may hold, and how logins are checked."""
from __future__ import annotations

import os
import tempfile
from base64 import b64encode
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from frontends import accounts as accounts_module
from frontends.accounts import FAILURE_SECONDS, Accounts, TooManyLogins, read_accounts
from frontends.passwords import SALT_SIZE, check_stored, hash_password, matches
from lafs.capability import parse
from lafs.tasks import spawn
from lafs.workers import InlineWorkers

CAP = "URI:DIR2:6suvpluhljkc2gp7zzhrwh7osm:ddbuhsgjkoruefojlt7u3hf6l3tnmjr4lbk5oez7myjwbawqmhzq"
OTHER = "URI:DIR2-LIT:"


def key_line(kind: str, name: str = "alice", comment: str = "") -> str:
    blob = len(kind).to_bytes(4, "big") + kind.encode() + kind.encode()[::-1]
    return f"{name} {kind} {b64encode(blob).decode()} {comment} {CAP}"


class AccountsFiles(SynchronousTestCase):
    """Lines of the file. Spec: 09 §2, §15 S9."""

    def test_all_kinds_of_keys_and_several_of_them_open_an_account(self) -> None:
        kinds = ("ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com")
        found = read_accounts("\n".join(key_line(kind, comment="a comment") for kind in kinds).encode())
        starts = [key[4 : 4 + len(kind)] for key, kind in zip(found["alice"].keys, kinds, strict=True)]
        self.assertEqual(starts, [kind.encode() for kind in kinds])

    def test_passwords_and_keys_go_together_and_the_last_cap_counts(self) -> None:
        found = read_accounts(f"alice old-secret {CAP}\n{key_line('ssh-rsa')}\nalice second {OTHER}".encode())
        self.assertEqual((found["alice"].passwords, len(found["alice"].keys)), (("old-secret", "second"), 1))
        self.assertEqual(found["alice"].root, parse(OTHER))

    def test_a_line_that_cannot_be_used_costs_nothing_but_itself(self) -> None:
        bad = (
            "alone",
            "two words",
            f"bob ssh-rsa {CAP}",
            f"bob ssh-rsa not!base64 {CAP}",
            f"bob ssh-rsa {b64encode(b'something else').decode()} {CAP}",
            "bob secret not-a-cap",
            f"bob $scrypt$broken {CAP}",
            f"bob two words {CAP}",
        )
        for line in (*(each.encode() for each in bad), b"b\xff secret " + CAP.encode()):
            found = read_accounts(b"# comment\n\n" + line + b"\nalice secret " + CAP.encode() + b"\n")
            self.assertEqual(list(found), ["alice"], line)

    def test_names_may_be_in_any_script(self) -> None:
        self.assertEqual(list(read_accounts(f"\ufeffjürgen geheim {CAP}".encode())), ["jürgen"])

    def test_nothing_secret_shows_in_a_repr(self) -> None:
        self.assertNotRegex(repr(read_accounts(f"alice secret {CAP}".encode())), "secret|6suv")


class Passwords(SynchronousTestCase):
    """Hashes and plain ones."""

    def test_a_hash_matches_its_password_and_no_other(self) -> None:
        stored = hash_password("pässword", os.urandom(SALT_SIZE))
        self.assertEqual([matches(word, stored) for word in ("pässword", "password", "", stored)], [True, False, False, False])
        self.assertNotIn("ssword", stored)
        self.assertEqual(len(stored.split()), 1)

    def test_a_hash_of_another_program_is_understood(self) -> None:
        # RFC 7914 §12: scrypt("pleaseletmein", "SodiumChloride", 16384, 8, 1), its first 32 bytes.
        salt = b64encode(b"SodiumChloride").decode().rstrip("=")
        digest = bytes.fromhex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")
        stored = f"$scrypt$ln=14,r=8,p=1${salt}${b64encode(digest).decode().rstrip('=')}"
        self.assertTrue(matches("pleaseletmein", stored))

    def test_a_hash_cannot_ask_for_all_memory(self) -> None:
        for costs in ("ln=30,r=8,p=1", "ln=15,r=99,p=99", "ln=0,r=8,p=1", "ln=15,r=0,p=1"):
            with self.assertRaises(ValueError):
                check_stored(f"$scrypt${costs}${'A' * 22}${'A' * 43}")


class Logins(SynchronousTestCase):
    """Checks against a file that changes."""

    def setUp(self) -> None:
        self.path = Path(tempfile.mkdtemp()) / "accounts"
        self.addCleanup(self.path.parent.rmdir)
        self.addCleanup(self.path.unlink, missing_ok=True)
        self.path.write_text(f"alice secret {CAP}\n{key_line('ssh-ed25519', 'keyed')}\n")
        self.clock = Clock()
        self.accounts = Accounts(self.path, InlineWorkers(), self.clock)

    def test_the_right_password_opens_at_once(self) -> None:
        self.assertEqual(self.successResultOf(spawn(self.accounts.check_password("alice", "secret"))), parse(CAP))

    def test_wrong_ones_wait_whether_or_not_there_is_such_an_account(self) -> None:
        for name, password in (("alice", "wrong"), ("nobody", "secret"), ("keyed", ""), ("keyed", "secret")):
            checking = spawn(self.accounts.check_password(name, password))
            self.clock.advance(FAILURE_SECONDS * 0.9)
            self.assertNoResult(checking)
            self.clock.advance(FAILURE_SECONDS)
            self.assertIsNone(self.successResultOf(checking))

    def test_a_slow_check_is_made_for_names_that_are_not_there(self) -> None:
        seen: list[str] = []
        self.patch(accounts_module, "matches", lambda password, stored: bool(seen.append(stored)))
        for name in ("nobody", "keyed"):
            spawn(self.accounts.check_password(name, "x"))
        self.assertEqual([each.startswith("$scrypt$") for each in seen], [True, True])

    def test_guessers_cannot_take_all_memory(self) -> None:
        class Busy(InlineWorkers):
            async def run(self, *work: object, **more: object) -> object:  # type: ignore[override]
                from twisted.internet.defer import Deferred

                return await Deferred()

        accounts = Accounts(self.path, Busy(), self.clock)
        attempts = [spawn(accounts.check_password("alice", "x")) for _ in range(accounts_module.MOST_WAITING + 1)]
        self.failureResultOf(attempts[-1], TooManyLogins)
        self.assertNoResult(attempts[0])

    def test_the_file_is_read_again_when_it_changes(self) -> None:
        self.assertIsNotNone(self.accounts.account("alice"))
        self.path.write_text(f"bob secret-of-bob {CAP}\n")
        self.assertEqual([self.accounts.account(name) is not None for name in ("alice", "bob")], [False, True])
        self.path.unlink()
        self.assertIsNone(self.accounts.account("bob"))

    def test_keys_are_compared_as_a_whole(self) -> None:
        account = self.accounts.account("keyed")
        assert account is not None
        key = account.keys[0]
        cases = (("keyed", key), ("keyed", key[:-1]), ("alice", key), ("nobody", key))
        self.assertEqual([self.accounts.accepts_key(*each) for each in cases], [True, False, False, False])
