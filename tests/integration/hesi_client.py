"""A bare client of the emulator, and what its suites share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import requests

from include.emulators.hesi import (
    APP_KEY,
    APP_SECRET,
    World,
)
from include.emulators.hesi.model import Document

Json = dict[str, Any]
NOW = 1_800_000_000_000
TWO_HOURS_MS = 2 * 3_600_000
LIST = "/api/openapi/v1.1/docs/getApplyList"
DETAIL = "/api/openapi/v1.1/flowDetails"
VOUCHER = "/api/openapi/v2.1/flow/data/erpVoucher"
TIMEOUT_S = 20


@dataclass
class Client:
    """A bare client: base URL, token, nothing clever."""

    url: str
    world: World
    token: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, method: str, path: str, body: object = None, **params: object) -> requests.Response:
        query = {"accessToken": self.token, **params}
        return self.session.request(method, self.url + path, params=query, json=body, timeout=TIMEOUT_S)

    def get(self, path: str, **params: object) -> Any:
        response = self.call("GET", path, **params)
        assert response.status_code == 200, response.text
        return response.json()

    def login(self, key: str = APP_KEY, secret: str = APP_SECRET) -> requests.Response:
        body = {"appKey": key, "appSecurity": secret}
        return self.session.post(
            f"{self.url}/api/openapi/v1/auth/getAccessToken", json=body, timeout=TIMEOUT_S
        )

    def list_all(self, **params: object) -> list[Json]:
        items: list[Json] = []
        while True:
            page = self.get(LIST, start=len(items), count=100, **params)
            items += page["items"]
            if not page["items"]:
                assert page["count"] == len(items)
                return items


def documents(client: Client, form_type: str, *states: str) -> list[Document]:
    return [
        item
        for item in client.world.documents.values()
        if item.form_type == form_type
        and item.active
        and (not states or item.state in states)
        and client.world.truth[item.id].defect is None
    ]


def error_of(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["errorMessage"]
