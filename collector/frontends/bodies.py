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
        body = await self.body()
        return json.loads(body) if len(body) <= SMALL else await run_in_threadpool(json.loads, body)


class DescribedAs:
    """The type in whose words the API's description shows an object that is checked later."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(TypeAdapter(self._shown).core_schema)
