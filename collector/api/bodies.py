"""Bodies of API requests: bounded, and read beside the event loop, which has checks to answer."""

import json
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import ConfigDict, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from starlette.exceptions import HTTPException

MAX_BODY = 16 * 1024 * 1024
MAX_VALUES = 500_000  # of one body: a value may have two bytes, and takes some two hundred
STRICT = ConfigDict(extra="forbid", strict=True)
SMALL = 16 * 1024  # read in less time than a thread takes to be asked


class BoundedRequest(Request):
    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Raises HTTPException when there is more than MAX_BODY."""
        read = 0
        async for chunk in super().stream():
            read += len(chunk)
            if read > MAX_BODY:
                status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                raise HTTPException(status, f"the body is larger than {MAX_BODY} bytes")
            yield chunk

    async def json(self) -> Any:
        """Raises HTTPException for over MAX_VALUES, and for one object with a name twice."""
        body = await self.body()
        if len(body) > MAX_VALUES and body.count(b",") > MAX_VALUES:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            raise HTTPException(status, f"the body holds more than {MAX_VALUES} values")
        return read(body) if len(body) <= SMALL else await run_in_threadpool(read, body)


def read(body: bytes) -> Any:
    return json.loads(body, object_pairs_hook=unique)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Whoever writes a rule with two matches means both; JSON would keep the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"{twice[:64]!r} is there twice")
    return found


class DescribedAs:
    """The type in whose words the API's description shows an object that is checked later."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(TypeAdapter(self._shown).core_schema)
