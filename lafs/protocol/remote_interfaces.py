"""What may be called over Foolscap, by name and by shape: what servers and introducers agree on with their clients.

Imported by both ends: the doors of `storage_server` and `lafs.introducer` declare these interfaces, and Foolscap holds
every message, coming or going, against them. The remote names and the names of arguments are part of the protocol: a
reference whose interface is unknown to its receiver is refused. Spec: 05 §11.1-§11.2, §12.1.

Two things differ from the letter of the peer's interfaces, neither visible to honest peers: a single byte string is
bounded (`LARGEST_BYTES`), and an announcement is what the spec says it must be, three byte strings. And a storage server has
two methods more, named `lafs_...`, which only our own clients call, and only on servers that say they have them.
"""
# ruff: noqa: N801 - the names of the interfaces are the peer's.
from __future__ import annotations

from typing import Any

from foolscap.api import Any as Anything
from foolscap.api import ChoiceOf, DictOf, ListOf, RemoteInterface, SetOf, TupleOf
from foolscap.constraint import ByteStringConstraint, IntegerConstraint
from foolscap.remoteinterface import RemoteInterfaceConstraint, RemoteMethodSchema
from foolscap.slicers.none import Nothing

from lafs.interfaces import LARGEST_WHOLE_SHARE

LARGEST_BYTES = 512 * 1024 * 1024
"""Bytes in one byte string of a storage call. The peer sets no limit and holds whatever is sent; the largest thing that
an honest client sends is a whole share of an SDMF file."""

LARGEST_REASON = 64 * 1024
"""Bytes in the text of a corruption report."""

LARGEST_ANNOUNCEMENT = 64 * 1024
"""Bytes in the JSON text of an announcement. Real ones have about 700, and some 500 more for every certificate."""

MOST_SHARES = 256
"""Shares of one file that may be named in one message."""

MOST_FILES = 32
"""Files whose whole shares may be sent, or asked for, in one message."""

STORAGE_V1 = b"http://allmydata.org/tahoe/protocols/storage/v1"
"""The key under which a storage server describes itself. Spec: 05 §11.3."""

LAFS = b"lafs"
"""The key under which our own servers tell what they can do besides. The peer's clients pass over it."""

WHOLE_SHARES = b"whole-shares"
"""The key in there whose value says whether the methods `lafs_store_shares` and `lafs_read_shares` may be called."""

ORDINARY = 2**63
"""More than any number in an honest message, and allowed wherever numbers are."""

INTRODUCER_V2 = b"http://allmydata.org/tahoe/protocols/introducer/v2"
"""The key that an introducer must have in its version. Spec: 05 §12.1."""


def method(returns: Any, **arguments: Any) -> RemoteMethodSchema:
    """A remote method: what its result must be, and its arguments, in order, with what each must be."""
    return RemoteMethodSchema(_response=returns, **arguments)


def of_each(answer: Any) -> Any:
    """What a method answers that is asked about several files: of each the name of what went wrong, if anything, and the answer.

    Not a choice of either: Foolscap cannot read a choice that has tuples in it.
    """
    return ListOf(TupleOf(SHORT_BYTES, answer), maxLength=MOST_FILES)


class Number(IntegerConstraint):
    """An integer, nearly always one that is seen to be allowed at a glance: Foolscap raises 2 to the 8192nd to look at one."""

    def __init__(self, bytes_at_most: int) -> None:
        super().__init__(bytes_at_most)  # type: ignore[no-untyped-call]

    def checkObject(self, obj: object, inbound: bool) -> None:
        if type(obj) is not int or not -ORDINARY < obj < ORDINARY:
            super().checkObject(obj, inbound)  # type: ignore[no-untyped-call]


NOTHING = Nothing()
ANYTHING = Anything()
STORAGE_INDEX = ByteStringConstraint(maxLength=16)
HASH = ByteStringConstraint(minLength=32, maxLength=32)
INTEGER = Number(1024)
OFFSET = Number(8)
SHARE_DATA = ByteStringConstraint(maxLength=LARGEST_BYTES)
WHOLE_SHARE = ByteStringConstraint(maxLength=LARGEST_WHOLE_SHARE)
SHORT_BYTES = ByteStringConstraint(maxLength=1000)
REASON = ByteStringConstraint(maxLength=LARGEST_REASON)
SHARE_NUMBERS = SetOf(INTEGER, maxLength=MOST_SHARES)
TEST_VECTOR = ListOf(TupleOf(OFFSET, INTEGER, SHARE_DATA, SHARE_DATA))
DATA_VECTOR = ListOf(TupleOf(OFFSET, SHARE_DATA))
READ_VECTOR = ListOf(TupleOf(OFFSET, INTEGER))
TEST_AND_WRITE_VECTORS = DictOf(INTEGER, TupleOf(TEST_VECTOR, DATA_VECTOR, ChoiceOf(None, OFFSET)))
READ_DATA = DictOf(INTEGER, ListOf(SHARE_DATA))
STORED_EACH = of_each(TupleOf(SHARE_NUMBERS, SHARE_NUMBERS, SHARE_NUMBERS))
VERSION = DictOf(SHORT_BYTES, ANYTHING)
SIGNED_ANNOUNCEMENT = TupleOf(ByteStringConstraint(maxLength=LARGEST_ANNOUNCEMENT), SHORT_BYTES, SHORT_BYTES)
CANARY = RemoteInterfaceConstraint(None)
"""A reference to any object of the caller's. It says which connection the caller is on; nothing is called on it."""


class RIBucketWriter(RemoteInterface):
    """One immutable share being written. Lives for one upload."""

    __remote_name__ = "RIBucketWriter"
    write = method(NOTHING, offset=OFFSET, data=SHARE_DATA)
    close = method(NOTHING)
    abort = method(NOTHING)


class RIBucketReader(RemoteInterface):
    """One finished immutable share."""

    __remote_name__ = "RIBucketReader"
    read = method(SHARE_DATA, offset=OFFSET, length=INTEGER)
    advise_corrupt_share = method(NOTHING, reason=REASON)


class RIStorageServer(RemoteInterface):
    """A storage server."""

    __remote_name__ = "RIStorageServer.tahoe.allmydata.com"
    get_version = method(VERSION)
    allocate_buckets = method(
        TupleOf(SHARE_NUMBERS, DictOf(INTEGER, RIBucketWriter, maxKeys=MOST_SHARES)),
        storage_index=STORAGE_INDEX,
        renew_secret=HASH,
        cancel_secret=HASH,
        sharenums=SHARE_NUMBERS,
        allocated_size=OFFSET,
        canary=CANARY,
    )
    add_lease = method(ANYTHING, storage_index=STORAGE_INDEX, renew_secret=HASH, cancel_secret=HASH)
    get_buckets = method(DictOf(INTEGER, RIBucketReader, maxKeys=MOST_SHARES), storage_index=STORAGE_INDEX)
    lafs_store_shares = method(
        STORED_EACH,
        files=ListOf(TupleOf(STORAGE_INDEX, HASH, HASH, DictOf(INTEGER, WHOLE_SHARE, maxKeys=MOST_SHARES)), maxLength=MOST_FILES),
    )
    lafs_read_shares = method(
        of_each(READ_DATA), files=ListOf(TupleOf(STORAGE_INDEX, READ_VECTOR), maxLength=MOST_FILES)
    )
    slot_readv = method(READ_DATA, storage_index=STORAGE_INDEX, shares=ListOf(INTEGER), readv=READ_VECTOR)
    slot_testv_and_readv_and_writev = method(
        TupleOf(bool, READ_DATA),
        storage_index=STORAGE_INDEX,
        secrets=TupleOf(HASH, HASH, HASH),
        tw_vectors=TEST_AND_WRITE_VECTORS,
        r_vector=READ_VECTOR,
    )
    advise_corrupt_share = method(
        NOTHING, share_type=SHORT_BYTES, storage_index=STORAGE_INDEX, shnum=INTEGER, reason=REASON
    )


class RIIntroducerSubscriberClient_v2(RemoteInterface):
    """A node that wants to hear announcements."""

    __remote_name__ = "RIIntroducerSubscriberClient_v2.tahoe.allmydata.com"
    # Not a set of SIGNED_ANNOUNCEMENT: a violation in one element would lose the whole set.
    announce_v2 = method(NOTHING, announcements=SetOf(ANYTHING))


class RIIntroducerPublisherAndSubscriberService_v2(RemoteInterface):
    """An introducer."""

    __remote_name__ = "RIIntroducerPublisherAndSubscriberService_v2.tahoe.allmydata.com"
    get_version = method(VERSION)
    publish_v2 = method(NOTHING, announcement=SIGNED_ANNOUNCEMENT, canary=CANARY)
    subscribe_v2 = method(
        NOTHING,
        subscriber=RIIntroducerSubscriberClient_v2,
        service_name=SHORT_BYTES,
        subscriber_info=DictOf(SHORT_BYTES, ANYTHING, maxKeys=100),
    )
