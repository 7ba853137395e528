"""One process for each node directory, and no ghost of an old one in its way."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lafs.errors import NodeError
from lafs.node.process_file import ProcessFile, start_time


class ProcessFileTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "running.process"
        self.file = ProcessFile(self.directory)
        self.addCleanup(self.file.release)


class Claiming(ProcessFileTestCase):
    def test_the_file_says_pid_and_start_time_while_the_process_runs(self) -> None:
        self.assertIs(self.file.claim(), None)
        pid, started = self.path.read_text().split()
        self.assertEqual(int(pid), os.getpid())
        self.assertAlmostEqual(float(started), start_time(os.getpid()) or 0.0, places=2)
        self.assertEqual(self.file.running_pid(), os.getpid())
        self.file.release()
        self.assertFalse(self.path.exists())

    def test_a_second_claim_is_refused(self) -> None:
        self.file.claim()
        error = self.assertRaises(NodeError, ProcessFile(self.directory).claim)
        self.assertIn(f"A process is already running as PID {os.getpid()}", str(error))
        self.assertTrue(self.path.exists())

    def test_the_lock_of_a_living_node_counts_more_than_what_the_file_says(self) -> None:
        self.file.claim()
        # As if the clock had been set since.
        self.path.write_text(f"{os.getpid()} 12345.0\n")
        self.assertRaises(NodeError, ProcessFile(self.directory).claim)

    def test_nothing_is_claimed_while_another_program_holds_the_lock(self) -> None:
        with (self.directory / "running.process.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertIn("still locking", str(self.assertRaises(NodeError, self.file.claim)))
        self.file.claim()


class Stale(ProcessFileTestCase):
    def test_a_dead_process_is_no_obstacle(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        self.path.write_text(f"{child.pid} 1795388550.65\n")
        self.assertIn(f"refers to {child.pid} that isn't running", self.file.claim() or "")

    def test_another_program_with_a_recycled_pid_is_no_obstacle(self) -> None:
        started = start_time(1)
        assert started is not None
        self.path.write_text(f"1 {started - 3600}\n")
        self.assertIn("refers to 1 that isn't running", self.file.claim() or "")

    def test_our_own_pid_in_an_old_file_is_no_obstacle(self) -> None:
        self.path.write_text(f"{os.getpid()} {start_time(os.getpid())}\n")
        self.assertIn("isn't running", self.file.claim() or "")

    def test_a_node_of_the_peer_that_runs_is_an_obstacle(self) -> None:
        self.path.write_text(f"1 {start_time(1)}\n")
        self.assertIn("already running as PID 1", str(self.assertRaises(NodeError, self.file.claim)))

    def test_nonsense_is_refused_and_left_alone(self) -> None:
        for text in ("", "x", "1", "1 2 3", "-1 5.0", "9" * 30 + " 1.0"):
            self.path.write_text(text)
            self.assertIn("invalid PID file", str(self.assertRaises(NodeError, self.file.claim)))
            self.assertEqual(self.path.read_text(), text)
