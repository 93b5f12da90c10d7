"""The collector's errors, by whose fault it is.

CollectorError
├── Refused            the peer's: never send the same again
│   ├── Malformed          cannot be read (400, INVALID_ARGUMENT)
│   ├── TooLarge           over a size limit (413, RESOURCE_EXHAUSTED without RetryInfo)
│   ├── TooSlow            its body hardly comes (408, DEADLINE_EXCEEDED)
│   └── Unsupported        content type or encoding we do not speak (415, UNIMPLEMENTED)
├── Unready            ours, for now: send it again (503, UNAVAILABLE)
│   ├── Overloaded         the outbox is full or its disk is
│   ├── MemoryShort        this process uses more memory than it should
│   └── StoreDown          ClickHouse does not answer, or cannot take more now
├── StoreError         ClickHouse refused what it was asked; `code` is its error code
└── InvalidSetting     the operator's: the process does not start
"""


class CollectorError(Exception):
    pass


class Refused(CollectorError):
    pass


class Malformed(Refused):
    pass


class TooLarge(Refused):
    pass


class TooSlow(Refused):
    pass


class Unsupported(Refused):
    pass


class Unready(CollectorError):
    pass


class Overloaded(Unready):
    pass


class MemoryShort(Unready):
    pass


class StoreDown(Unready):
    pass


class StoreError(CollectorError):
    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class InvalidSetting(CollectorError):
    pass
