"""A plain caller of the Kingdee interface, written from its documents: no client of ours."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import requests

from include.emulators.kingdee import ADMIN_KEY, Credentials

MINE = Credentials()
STUB = "/k3cloud/Kingdee.BOS.WebApi.ServicesStub."
TIMEOUT_S = 20
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def entry(account: str, debit: object = 0, credit: object = 0, **fields: Any) -> dict[str, Any]:
    return {
        "FEXPLANATION": "报销差旅费",
        "FACCOUNTID": {"FNumber": account},
        "FCURRENCYID": {"FNumber": "PRE001"},
        "FEXCHANGERATETYPE": {"FNumber": "HLTX01_SYS"},
        "FEXCHANGERATE": 1,
        "FDEBIT": debit,
        "FCREDIT": credit,
    } | fields


def travel(amount: object = 1128.10, **fields: Any) -> dict[str, Any]:
    return entry("6602.10", amount, **{"FDetailID": {"FDETAILID__FFLEX5": {"FNumber": "RD"}}} | fields)


def owed(amount: object = 1128.10, **fields: Any) -> dict[str, Any]:
    return entry("2241.03", 0, amount, **{"FDetailID": {"FDETAILID__FFLEX7": {"FNumber": "E0001"}}} | fields)


def model(*entries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "FVOUCHERID": 0,
        "FAccountBookID": {"FNumber": "001"},
        "FDate": "2026-01-29",
        "FVOUCHERGROUPID": {"FNumber": "PRE001"},
        "FVOUCHERGROUPNO": "",
        "FEntity": list(entries) or [travel(), owed()],
    } | fields


def status_of(body: Any) -> dict[str, Any]:
    found: dict[str, Any] = (body[0][0] if isinstance(body, list) else body)["Result"]["ResponseStatus"]
    return found


def messages(body: Any) -> list[str]:
    return [error["Message"] for error in status_of(body)["Errors"]]


class Caller:
    """One cookie jar at one site."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()

    def post(self, service: str, body: Any, **rest: Any) -> requests.Response:
        return self.http.post(f"{self.url}{STUB}{service}.common.kdsvc", json=body, timeout=TIMEOUT_S, **rest)

    def login(self) -> dict[str, Any]:
        body = {"acctID": MINE.acct_id, "username": MINE.user, "password": MINE.password, "lcid": 2052}
        answer: dict[str, Any] = self.post("AuthService.ValidateUser", body).json()
        return answer

    def call(self, operation: str, data: Any, form: str = "GL_VOUCHER") -> Any:
        return self.post(f"DynamicFormService.{operation}", {"formid": form, "data": data}).json()

    def save(self, *entries: dict[str, Any], data: dict[str, Any] | None = None, **fields: Any) -> Any:
        return self.call("Save", {"Model": model(*entries, **fields)} | (data or {}))

    def saved(self, *entries: dict[str, Any], **fields: Any) -> int:
        body = self.save(*entries, **fields)
        assert status_of(body)["IsSuccess"], body
        return int(body["Result"]["Id"])

    def query(self, keys: str, where: str | list[Any] = "", *, form: str = "GL_VOUCHER", **data: Any) -> Any:
        asked = {"FormId": form, "FieldKeys": keys, "FilterString": where} | data
        return self.post("DynamicFormService.ExecuteBillQuery", {"data": asked}).json()

    def admin(self, name: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        headers = {"X-Emulator-Key": ADMIN_KEY}
        url = f"{self.url}/__emulator__/{name}"
        return self.http.request(method, url, json=body or {}, headers=headers, timeout=TIMEOUT_S).json()

    def fault(self, kind: str, **rest: Any) -> None:
        assert "planned" in self.admin("faults", {"kind": kind} | rest)

    def options(self, **switches: Any) -> None:
        assert "error" not in self.admin("options", switches)


def ids(numbers: Iterable[int]) -> dict[str, str]:
    return {"Ids": ",".join(str(number) for number in numbers)}


def as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
