"""The identifiers of nexthops: a hash of what an object is for, so that the next daemon finds the objects of this one."""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import count
from zlib import crc32

from vtep.intent import ID_MASK


def identifiers(base: int, octets: bytes) -> Iterator[int]:
    """Yield the identifiers that an object may have in the range that begins at `base`, in the order in which they are tried.

    Peers can find many objects with one checksum, but for those the next numbers differ. So a search stays short.
    """
    yield base | crc32(octets) & ID_MASK
    for attempt in count():
        digest = blake2b(octets, digest_size=4, salt=attempt.to_bytes(8)).digest()
        yield base | int.from_bytes(digest) & ID_MASK
