"""The names and shapes of remote calls are those of the protocol."""
from __future__ import annotations

from typing import Any

from foolscap.api import Referenceable, Violation
from twisted.trial.unittest import SynchronousTestCase

from lafs.protocol import remote_interfaces as interfaces

HASH = b"h" * 32
INDEX = b"i" * 16


class Names(SynchronousTestCase):
    """Spec: 05 §11.1, §11.2, §12.1."""

    def test_interfaces_are_called_on_the_wire_as_by_the_peer(self) -> None:
        self.assertEqual(
            [each.__remote_name__ for each in (  # type: ignore[attr-defined]
                interfaces.RIStorageServer,
                interfaces.RIBucketWriter,
                interfaces.RIBucketReader,
                interfaces.RIIntroducerPublisherAndSubscriberService_v2,
                interfaces.RIIntroducerSubscriberClient_v2,
            )],
            [
                "RIStorageServer.tahoe.allmydata.com",
                "RIBucketWriter",
                "RIBucketReader",
                "RIIntroducerPublisherAndSubscriberService_v2.tahoe.allmydata.com",
                "RIIntroducerSubscriberClient_v2.tahoe.allmydata.com",
            ],
        )

    def test_arguments_have_their_names_and_order(self) -> None:
        lease = ["storage_index", "renew_secret", "cancel_secret"]
        expected: dict[Any, dict[str, list[str]]] = {
            interfaces.RIStorageServer: {
                "get_version": [],
                "allocate_buckets": [*lease, "sharenums", "allocated_size", "canary"],
                "add_lease": lease,
                "get_buckets": ["storage_index"],
                "lafs_store_shares": ["files"],
                "lafs_read_shares": ["files"],
                "slot_readv": ["storage_index", "shares", "readv"],
                "slot_testv_and_readv_and_writev": ["storage_index", "secrets", "tw_vectors", "r_vector"],
                "advise_corrupt_share": ["share_type", "storage_index", "shnum", "reason"],
            },
            interfaces.RIBucketWriter: {"write": ["offset", "data"], "close": [], "abort": []},
            interfaces.RIBucketReader: {"read": ["offset", "length"], "advise_corrupt_share": ["reason"]},
            interfaces.RIIntroducerPublisherAndSubscriberService_v2: {
                "get_version": [],
                "publish_v2": ["announcement", "canary"],
                "subscribe_v2": ["subscriber", "service_name", "subscriber_info"],
            },
            interfaces.RIIntroducerSubscriberClient_v2: {"announce_v2": ["announcements"]},
        }
        for interface, methods in expected.items():
            self.assertEqual({name: interface[name].argumentNames for name in interface.names()}, methods)


class Shapes(SynchronousTestCase):
    """Arguments are held against their constraints before anything is called."""

    def check(self, interface: Any, method: str, *arguments: Any) -> None:
        interface[method].checkAllArgs(arguments, {}, False)

    def test_calls_of_clients_pass(self) -> None:
        server = interfaces.RIStorageServer
        self.check(server, "allocate_buckets", INDEX, HASH, HASH, {0, 9}, 2**63, Referenceable())
        self.check(server, "slot_readv", INDEX, [], [(0, 4000)])
        test_and_write = {3: ([(0, 1, b"eq", b"x")], [(0, b"data")], None), 4: ([], [], 0)}
        self.check(server, "slot_testv_and_readv_and_writev", INDEX, (HASH, HASH, HASH), test_and_write, [(0, 5)])
        self.check(interfaces.RIBucketWriter, "write", 0, b"x" * 2_000_000)
        self.check(server, "slot_readv", INDEX, [2**8000, -(2**8000), True], [(2**64 - 1, 2**8000)])
        self.check(server, "lafs_store_shares", [(INDEX, HASH, HASH, {0: b"share"})] * interfaces.MOST_FILES)
        self.check(server, "lafs_read_shares", [(INDEX, [(0, 9)])] * interfaces.MOST_FILES)

    def test_other_shapes_are_violations(self) -> None:
        server = interfaces.RIStorageServer
        for method, arguments in (
            ("add_lease", (b"i" * 17, HASH, HASH)),
            ("add_lease", (INDEX, HASH, HASH[1:])),
            ("add_lease", ("i" * 16, HASH, HASH)),
            ("allocate_buckets", (INDEX, HASH, HASH, [0], 1, Referenceable())),
            ("allocate_buckets", (INDEX, HASH, HASH, set(range(257)), 1, Referenceable())),
            ("allocate_buckets", (INDEX, HASH, HASH, {0}, 2**64, Referenceable())),
            ("allocate_buckets", (INDEX, HASH, HASH, {0}, 1, object())),
            ("get_buckets", (INDEX, b"more")),
            ("slot_readv", (INDEX, [2**8192], [])),
            ("slot_readv", (INDEX, [0.0], [])),
            ("slot_readv", (INDEX, [], [(2**64, 1)])),
            ("slot_readv", (INDEX, [], [(-(2**64), 1)])),
            ("lafs_store_shares", ([(INDEX, HASH, HASH, {0: b"share"})] * (interfaces.MOST_FILES + 1),)),
            ("lafs_store_shares", ([(INDEX, HASH, HASH, {0: bytes(2**20 + 1)})],)),
            ("lafs_read_shares", ([(INDEX, [(0, 9)])] * (interfaces.MOST_FILES + 1),)),
        ):
            self.assertRaises(Violation, self.check, server, method, *arguments)

    def test_an_announcement_is_three_byte_strings(self) -> None:
        introducer = interfaces.RIIntroducerPublisherAndSubscriberService_v2
        self.check(introducer, "publish_v2", (b"", b"", b""), Referenceable())
        for bad in ([b"", b"", b""], (b"", b""), (b"", None, None), ("", "", ""), (b"x" * 100_000, b"", b"")):
            self.assertRaises(Violation, self.check, introducer, "publish_v2", bad, Referenceable())
