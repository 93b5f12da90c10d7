"""What can go wrong in the embedded store.

StoreError
├── CannotStart     the process cannot run: told on one line, then it ends
├── HangUp          the peer has gone, or kept silent too long
└── Refused         answered with an exception packet; the connection stays usable
    └── Broken      answered too, but the stream cannot be followed any further: then closed
"""

# Codes of ClickHouse's own list. Source: src/Common/ErrorCodes.cpp
CANNOT_PARSE = 33
CHECKSUM_DOESNT_MATCH = 40
NOT_IMPLEMENTED = 48
UNKNOWN_SETTING = 115
UNEXPECTED_PACKET = 101
UNKNOWN_COMPRESSION = 89
TOO_LARGE = 128
READONLY = 164
TOO_MANY_CONNECTIONS = 202
QUERY_CANCELLED = 394
UNKNOWN_EXCEPTION = 1002


class StoreError(Exception):
    """Root of the tree."""


class CannotStart(StoreError):
    """The message is for the one who started the process."""


class HangUp(StoreError):
    """Nobody is left to answer."""


class Refused(StoreError):
    """`code` is ClickHouse's, `message` begins with "DB::Exception: "."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = f"DB::Exception: {message.removeprefix('DB::Exception: ')}"


class Broken(Refused):
    """What follows in the stream cannot be understood."""
