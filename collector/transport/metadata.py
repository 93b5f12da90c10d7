"""What a peer says beside its message: gRPC metadata or HTTP headers, one view of both."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping

from collector.errors import Malformed

NODE = b"x-mesh-node"


class Metadata(Mapping[str, str]):
    """Lower-case names to text. Of a repeated name the last value counts."""

    __slots__ = ("_client", "_fields")

    def __init__(
        self, fields: Mapping[bytes, bytes], client: tuple[str, int] | None = None
    ) -> None:
        self._fields = fields
        self._client = client

    def __getitem__(self, name: str) -> str:
        return self._fields[name.encode()].decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    @property
    def peer(self) -> str:
        """The address the connection came from, "" when unknown."""
        return self._client[0] if self._client else ""

    @property
    def identity(self) -> str:
        """Who sent it: its x-mesh-node, else the peer's address."""
        node = self._fields.get(NODE)
        return node.decode("latin-1") if node else self.peer

    @property
    def binary(self) -> Mapping[str, bytes]:
        """The values under names ending in -bin, decoded. Raises Malformed."""
        return {
            name.decode("latin-1"): decode_binary(value)
            for name, value in self._fields.items()
            if name.endswith(b"-bin")
        }


def decode_binary(value: bytes) -> bytes:
    """gRPC sends base64 with or without padding."""
    try:
        return b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except Base64Error as error:
        raise Malformed("binary metadata is not base64") from error
