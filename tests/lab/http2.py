"""The few frames of HTTP/2 that a client with bad manners sends, as octets (RFC 9113, RFC 7541).

Knows no state machine: a test that sends these decides itself what not to read and what not to answer.
"""

import struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0x0, 0x1, 0x4
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
INITIAL_WINDOW_SIZE: Final = 0x4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes((kind, flags)) + struct.pack("!I", stream) + payload


def settings(*, initial_window: int) -> bytes:
    """Say how many octets of each answer the peer may send before it is told to go on."""
    return frame(SETTINGS, 0, 0, struct.pack("!HI", INITIAL_WINDOW_SIZE, initial_window))


def settings_ack() -> bytes:
    return frame(SETTINGS, ACK, 0)


def call(stream: int, path: str, request: bytes) -> bytes:
    """Begin a gRPC call and end its request."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    headers = b"".join(_literal(name, text) for name, text in fields.items())
    message = b"\0" + struct.pack("!I", len(request)) + request
    return frame(HEADERS, END_HEADERS, stream, headers) + frame(DATA, END_STREAM, stream, message)


def _literal(name: str, text: str) -> bytes:
    """Spell a header field in full, without an index and without Huffman coding (RFC 7541 6.2.2)."""
    return b"\0" + b"".join(bytes((len(part),)) + part.encode() for part in (name, text))
