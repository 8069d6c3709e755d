"""Test controls of an emulated ledger under /__emulator__/, behind a key of their own; no part of a vendor's interface.

POST /clock {"advance_ms"} · POST /faults {"kind", …} (see `http_faults.Fault`) · POST /shares {"shares", "seed",
"calls_per_second"} · POST /release · DELETE /faults · GET /counts · GET /export · POST /seed (see
`ledger_schema.defaults`) · POST /options {…} · POST /<action> {…} for what people do inside the ledger: `period`,
`account`, `item`, `amend`, `delete`, `status`, `post`, `unpost`, `void`, `renumber`, `save`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.emulators.http_faults import Fault, FaultLayer
from include.emulators.ledger_books import Books
from include.emulators.ledger_rules import Draft, Line, RefusedError

Json = dict[str, Any]
Handler = Callable[[Json], Awaitable[Any]]
KEY_HEADER = "X-Emulator-Key"
PREFIX = "/__emulator__"
ACCOUNTANT = "会计"
MAX_BODY_BYTES = 16 * 2**20


def _save(books: Books, *, lines: list[Json], day: str, status: str, **rest: Any) -> Any:
    """A voucher made by hand in the client; fields as `Draft` and `Line` have them."""
    draft = Draft(day=date.fromisoformat(day), lines=tuple(Line(**line) for line in lines), **rest)
    return books.save(draft, status=status, actor=ACCOUNTANT).id


def _amend(books: Books, *, voucher: int, line: int, **changes: Any) -> Any:
    return books.amend_line(voucher, line, actor=ACCOUNTANT, **changes).modified_ms


def _delete(books: Books, *, voucher: int) -> Any:
    return books.delete(voucher, allowed={books.voucher(voucher).status}, actor=ACCOUNTANT).number


def _status(books: Books, *, voucher: int, to: str, reviews: bool = False) -> Any:
    here = books.voucher(voucher).status
    return books.set_status(voucher, to, allowed={here}, actor=ACCOUNTANT, reviews=reviews).status


def _post(books: Books, *, voucher: int, status: str | None = None) -> Any:
    books.post(voucher, allowed={books.voucher(voucher).status}, status=status, actor=ACCOUNTANT)


def _void(books: Books, *, voucher: int, void: bool = True) -> Any:
    books.set_void(voucher, void=void, allowed={books.voucher(voucher).status}, actor=ACCOUNTANT)


ACTIONS: Mapping[str, Callable[..., Any]] = {
    "period": Books.set_period,
    "account": Books.change_account,
    "item": Books.change_item,
    "save": _save,
    "amend": _amend,
    "delete": _delete,
    "status": _status,
    "post": _post,
    "unpost": Books.unpost,
    "void": _void,
    "renumber": Books.renumber,
}


@dataclass(frozen=True, slots=True)
class Admin:
    """The controls of one emulated ledger.

    Attributes:
        books: the ledger.
        layer: the fault layer that wraps the application.
        key: what the header must carry.
        set_options: changes the vendor's switches and gives them all; ValueError for what it does not know.
        extra: a vendor's own actions by name; each takes the body.
    """

    books: Books
    layer: FaultLayer
    key: str
    set_options: Callable[[Json], Json]
    extra: Mapping[str, Callable[[Json], Any]] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        return [
            self._route("POST", "/clock", self._clock),
            self._route("POST", "/faults", self._add_fault),
            self._route("DELETE", "/faults", self._drop_faults),
            self._route("POST", "/shares", self._shares),
            self._route("POST", "/release", self._release),
            self._route("GET", "/counts", self._counts),
            self._route("GET", "/export", self._export),
            self._route("POST", "/seed", self._seed),
            self._route("POST", "/options", self._options),
            *(self._route("POST", f"/{name}", self._action(run)) for name, run in ACTIONS.items()),
            *(self._route("POST", f"/{name}", self._vendors(run)) for name, run in self.extra.items()),
        ]

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            given = request.headers.get(KEY_HEADER, "")
            if not secrets.compare_digest(given.encode(), self.key.encode()):
                return _problem(403, f"缺少或错误的 {KEY_HEADER} / Missing or wrong {KEY_HEADER}.")
            try:
                return JSONResponse(await handler(await _body(request)))
            except RefusedError as error:
                return _problem(409, str(error))
            except (TypeError, ValueError, KeyError) as error:
                return _problem(400, f"参数有误 / Wrong parameters: {error}")

        return Route(PREFIX + path, endpoint, methods=[method])

    async def _clock(self, body: Json) -> Any:
        self.books.clock.advance(int(body["advance_ms"]))
        return {"now_ms": self.books.clock.now_ms()}

    async def _add_fault(self, body: Json) -> Any:
        self.layer.plan.plan(Fault(**body))
        return {"planned": len(self.layer.plan.planned)}

    async def _drop_faults(self, _body: Json) -> Any:
        self.layer.plan.clear()
        return {"planned": 0}

    async def _shares(self, body: Json) -> Any:
        plan = self.layer.plan
        plan.set_shares(
            body["shares"],
            seed=int(body.get("seed", 0)),
            calls_per_second=float(body.get("calls_per_second", 0)),
        )
        return {"shares": plan.shares}

    async def _release(self, _body: Json) -> Any:
        return {"carried_out": await self.layer.release_late()}

    async def _counts(self, _body: Json) -> Any:
        plan = self.layer.plan
        planned = [asdict(fault) | {"skip": skip, "times": times} for fault, skip, times in plan.planned]
        return {"calls": plan.calls, "befallen": plan.befallen, "planned": planned}

    async def _export(self, _body: Json) -> Any:
        return await run_in_threadpool(self.books.export)

    async def _seed(self, body: Json) -> Any:
        await run_in_threadpool(self.books.fill, body)
        return {}

    async def _options(self, body: Json) -> Any:
        return self.set_options(body)

    def _action(self, run: Callable[..., Any]) -> Handler:
        async def handler(body: Json) -> Any:
            return {"result": await run_in_threadpool(lambda: run(self.books, **body))}

        return handler

    def _vendors(self, run: Callable[[Json], Any]) -> Handler:
        async def handler(body: Json) -> Any:
            return {"result": await run_in_threadpool(run, body)}

        return handler


async def _body(request: Request) -> Json:
    raw = await request.body()
    if len(raw) > MAX_BODY_BYTES:
        raise ValueError(f"more than {MAX_BODY_BYTES} bytes")
    body = json.loads(raw) if raw else {}
    if not isinstance(body, dict):
        raise TypeError("a JSON object")
    return body


def _problem(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)
