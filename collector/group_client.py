"""The worker's side of `collector.internal`."""

from collections.abc import Sequence

import httpx

from collector.errors import Malformed, Unready
from collector.group_frames import ATTEMPT_HEADER, COUNT_HEADER, REPLAYED_HEADER, decode_reports
from collector.model import Account, Names, Taken

TIMEOUT = httpx.Timeout(10, connect=2)


class HttpGroups:
    """`Groups` of a collector elsewhere. Raises Unready when it does not answer as it should."""

    def __init__(
        self, client: httpx.Client, collector_url: str, collector_id: str, token: str
    ) -> None:
        self._client = client
        self._url = f"{collector_url.rstrip('/')}/internal/groups"
        self._params = {"collector_id": collector_id}
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def fetch(self, group: int) -> Taken | None:
        answer = self._request("GET", f"{group}")
        if answer.status_code == httpx.codes.GONE:
            return None
        try:
            reports = decode_reports(self._expect_success(answer).content)
        except Malformed as error:
            raise Unready(f"{answer.url} answered with what cannot be read: {error}") from error
        if answer.headers.get(COUNT_HEADER) != str(len(reports)):
            raise Unready(f"{answer.url} answered with part of a group")
        attempt = int(answer.headers[ATTEMPT_HEADER])
        return Taken(reports, attempt, answer.headers[REPLAYED_HEADER] == "1")

    def over(self, group: int, names: Names) -> Names:
        answer = self._request("POST", f"{group}/names", names)
        told: Names = self._expect_success(answer).json()
        return told

    def done(self, group: int, accounts: Sequence[Account]) -> None:
        told = {"accounts": [account._asdict() for account in accounts]}
        self._expect_success(self._request("POST", f"{group}/done", told))

    def failed(self, group: int, reason: str) -> None:
        told = {"reason": reason}
        self._expect_success(self._request("POST", f"{group}/failed", told))

    def put_back(self, group: int, *, taken: bool) -> None:
        told = {"taken": taken}
        self._expect_success(self._request("POST", f"{group}/put-back", told))

    def _request(self, method: str, path: str, told: object = None) -> httpx.Response:
        url = f"{self._url}/{path}"
        try:
            return self._client.request(
                method, url, params=self._params, headers=self._headers, json=told, timeout=TIMEOUT
            )
        except httpx.HTTPError as error:
            raise Unready(f"no answer from {url}: {str(error) or type(error).__name__}") from error

    @staticmethod
    def _expect_success(answer: httpx.Response) -> httpx.Response:
        if not answer.is_success:
            raise Unready(f"{answer.url} answered {answer.status_code}")
        return answer
