"""An emulated Toy OA: claims as JSON over HTTP, from the vendor's (made-up) documents.

    POST /token {"key", "secret"} → {"token", "expires_s"}; a wrong pair is 401 WRONG_SECRET
    GET  /claims?kind=&since=<ms>&after=<id>&limit=≤50 → {"items", "more"}: by (updated, id); `after` is the last id seen
    GET  /claims/<id> → a claim, 404 once deleted
    GET  /ids?kind=&until=<ms> → {"ids"} of claims created until then, deleted ones too
    GET  /people → {"items": [{"id", "name"}]}
    PUT  /claims/<id>/voucher {"no"} → 204; 409 NOT_APPROVED, 404 GONE

Every call but the first needs `Authorization: Bearer <token>`; an unknown or old one is 401 OLD_TOKEN. Above its ceiling
it answers 429. Amounts are text as people typed them, times milliseconds, days local text.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.emulators.http_faults import Fault, FaultLayer, FaultPlan
from include.emulators.serving import running_app

KEY, SECRET = "toy-key", "toy-secret-7"
MAX_LIMIT = 50
DAY_MS = 86_400_000
START_MS = 1_767_600_000_000  # 2026-01-05 16:00 in Shanghai
STATES = ("approved", "approved", "approved", "pending", "draft", "deleted")
FEES = ("TRAVEL", "MEALS", "OFFICE")


@dataclass
class Claim:
    """A claim as the OA keeps it; `cents` is what its lines come to, known to no client."""

    id: str
    no: str
    kind: str
    state: str
    created: int
    updated: int
    approved: int | None
    applicant: str
    department: str
    title: str
    lines: list[dict[str, str]]
    voucher_no: str = ""
    cents: int = 0


@dataclass
class Company:
    """The OA's data. `now_ms` is its clock."""

    claims: dict[str, Claim] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    now_ms: int = START_MS + 200 * DAY_MS
    lock: threading.Lock = field(default_factory=threading.Lock)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def change(self, claim_id: str, **values: Any) -> None:
        """Somebody changes a claim; it moves to the end of the changes."""
        with self.lock:
            self.now_ms += 1000
            claim = self.claims[claim_id]
            for name, value in (values | {"updated": self.now_ms}).items():
                setattr(claim, name, value)


def generate(claims: int = 60, seed: int = 1) -> Company:
    """A company with so many claims of each kind."""
    chance, company = random.Random(seed), Company()
    company.people = {f"u{n}": f"员工{n}" for n in range(1, 9)}
    for number in range(1, 2 * claims + 1):
        created = START_MS + number * DAY_MS // 2
        lines, cents = [], 0
        for _ in range(chance.randint(1, 3)):
            amount = chance.randint(1, 500_000)
            cents += amount
            written = f"{amount / 100:,.2f}" if chance.random() < 0.5 else f"{amount / 100:.2f}"
            lines.append({"fee": chance.choice(FEES), "amount": written, "day": "2026-01-15", "note": "出差"})
        state = chance.choice(STATES)
        ended = created + DAY_MS if state == "approved" else None
        claim = Claim(
            id=f"c{number:04d}",
            no=f"T2026{number:04d}",
            kind="expense" if number % 2 else "loan",
            state=state,
            created=created,
            updated=created + DAY_MS,
            approved=ended,
            applicant=chance.choice(sorted(company.people)),
            department=chance.choice(("D1", "D2")),
            title="差旅报销" if number % 2 else "借款",
            lines=lines,
            cents=cents,
        )
        company.claims[claim.id] = claim
    return company


@dataclass
class Interface:
    """The HTTP interface over a company."""

    company: Company

    def routes(self) -> list[Route]:
        """One for each call of the documents."""
        return [
            Route("/token", self.token, methods=["POST"]),
            Route("/claims", self.guarded(self.claims)),
            Route("/claims/{id}", self.guarded(self.claim)),
            Route("/ids", self.guarded(self.ids)),
            Route("/people", self.guarded(self.people)),
            Route("/claims/{id}/voucher", self.guarded(self.voucher), methods=["PUT"]),
        ]

    async def token(self, request: Request) -> Response:
        body = await request.json()
        if (body.get("key"), body.get("secret")) != (KEY, SECRET):
            return _no(401, "WRONG_SECRET")
        given = f"toy-token-{next(self.company.numbers)}-secret"
        self.company.tokens.add(given)
        return JSONResponse({"token": given, "expires_s": 3600})

    def guarded(self, work: Callable[[Request, Any], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme != "Bearer" or given not in self.company.tokens:
                return _no(401, "OLD_TOKEN")
            body = await request.json() if request.method == "PUT" else {}
            with self.company.lock:
                return work(request, body)

        return endpoint

    def claims(self, request: Request, _body: Any) -> Response:
        query = request.query_params
        limit = int(query.get("limit", "20"))
        if not 1 <= limit <= MAX_LIMIT:
            return _no(400, "LIMIT")
        after = (int(query["since"]), query.get("after", ""))
        ours = [c for c in self.company.claims.values() if c.kind == query["kind"]]
        found = sorted(
            (c for c in ours if (c.updated, c.id) > after), key=lambda claim: (claim.updated, claim.id)
        )
        return JSONResponse({"items": [_shown(c) for c in found[:limit]], "more": len(found) > limit})

    def claim(self, request: Request, _body: Any) -> Response:
        found = self.company.claims.get(request.path_params["id"])
        return JSONResponse(_shown(found)) if found and found.state != "deleted" else _no(404, "GONE")

    def ids(self, request: Request, _body: Any) -> Response:
        kind, until = request.query_params["kind"], int(request.query_params["until"])
        claims = self.company.claims.values()
        return JSONResponse({"ids": [c.id for c in claims if c.kind == kind and c.created <= until]})

    def people(self, _request: Request, _body: Any) -> Response:
        return JSONResponse({"items": [{"id": i, "name": name} for i, name in self.company.people.items()]})

    def voucher(self, request: Request, body: Any) -> Response:
        found = self.company.claims.get(request.path_params["id"])
        if found is None or found.state == "deleted":
            return _no(404, "GONE")
        if found.state != "approved":
            return _no(409, "NOT_APPROVED")
        found.voucher_no = str(body.get("no", ""))
        return Response(status_code=204)


def build_app(company: Company, plan: FaultPlan | None = None) -> FaultLayer:
    """The application, with trouble by plan."""
    app = Starlette(routes=Interface(company).routes())
    return FaultLayer(app, plan or FaultPlan(), lambda _fault, _path: _no(429, "SLOWER"))


@contextlib.contextmanager
def running(company: Company, plan: FaultPlan | None = None) -> Iterator[str]:
    """A server in a thread; gives its base URL."""
    with running_app(build_app(company, plan)) as url:
        yield url


def _shown(claim: Claim) -> dict[str, Any]:
    return {name: value for name, value in asdict(claim).items() if name != "cents"}


def _no(status: int, code: str) -> JSONResponse:
    return JSONResponse({"code": code}, status)


__all__ = ["KEY", "SECRET", "Claim", "Company", "Fault", "FaultPlan", "build_app", "generate", "running"]
