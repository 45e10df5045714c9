"""scim2-client over httpx, for scim2-tester."""

from __future__ import annotations

from typing import Any

import httpx
from scim2_client import BaseSyncSCIMClient, RequestNetworkException
from scim2_client.client import RawResponse


class HttpxClient(BaseSyncSCIMClient):
    """Sends what scim2-client prepares through an httpx client whose base URL is the SCIM base."""

    def __init__(self, client: httpx.Client, **options: Any) -> None:
        super().__init__(**options)
        self._client = client

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """The answer of the service. Raises RequestNetworkException when there is none."""
        try:
            return self._client.request(method, url, **options)
        except httpx.RequestError as error:
            raise RequestNetworkException from error

    def _stays_under_base_url(self, endpoint: str) -> bool:
        base, url = self._client.base_url, self._client.build_request("GET", endpoint).url
        return (url.host, url.port) == (base.host, base.port) and url.raw_path.startswith(base.raw_path)

    def _parse_json(self, response: RawResponse) -> Any:
        assert isinstance(response, httpx.Response)
        return response.json()
