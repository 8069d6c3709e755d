"""What the tests of the Hesi adapter share: a configured source, payloads, a server that follows a script."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from include.adapters.oa.directory import Directory
from include.adapters.oa.hesi.lines import InvoiceFacts
from include.adapters.oa.hesi.listing import raw_document
from include.adapters.oa.hesi.mapping import MappingContext, map_document
from include.adapters.oa.hesi.options import read_options
from include.domain.document import DocumentKind, MappedDocument
from include.ports import MasterRecord
from include.settings import Fields, FormRule, Source

Json = dict[str, Any]
APP_KEY = "key-5f1c"
APP_SECURITY = "security-9a2e"
TOKEN = "tok-SECRET-1"
MS = 1_770_000_000_000
"""2026-02-02 10:40:00 in Shanghai."""

OPTIONS = {
    "amount_fields": {"SPEC_PO": "u_订单金额", "SPEC_PURCHASE_INVOICE": "u_价税合计"},
    "invoice_fields": {"SPEC_PURCHASE_INVOICE": "u_发票"},
    "link_fields": ["u_采购订单"],
}


def hesi_source(**changes: Any) -> Source:
    """A source as a company might configure it."""
    values: Json = {
        "id": "hesi",
        "system": "hesi",
        "connection": "hesi_default",
        "start": date(2026, 1, 1),
        "forms": [
            FormRule(form="expense", kind=DocumentKind.EXPENSE_CLAIM),
            FormRule(form="loan", kind=DocumentKind.LOAN),
            FormRule(form="payment", kind=DocumentKind.PAYMENT_REQUEST),
            FormRule(form="requisition", kind=DocumentKind.REQUISITION),
            FormRule(form="receipt", kind=DocumentKind.RECEIPT),
            FormRule(form="custom", template="SPEC_PO", kind=DocumentKind.PURCHASE_ORDER),
            FormRule(form="custom", template="SPEC_PURCHASE_INVOICE", kind=DocumentKind.PURCHASE_INVOICE),
        ],
        "fields": Fields(properties={"prepaid": "u_核销预付金额", "material": "物料类别"}),
        "options": OPTIONS,
        "file": "sources/hesi.yaml",
    }
    return Source.model_validate(values | changes)


def money(standard: Any, **more: Any) -> Json:
    return {"standard": standard, "standardScale": 2, "standardStrCode": "CNY"} | more


def line(amount: Any = "100.00", number: int = 1, **form: Any) -> Json:
    fee_form = {
        "amount": money(amount),
        "feeDate": MS,
        "detailId": f"L{number}",
        "consumptionReasons": "出差",
    }
    return {"feeTypeId": "corp:train", "feeTypeForm": fee_form | form}


def expense(*lines: Any, total: Any = "100.00", **form: Any) -> Json:
    """A paid expense claim; without lines it has one of 100.00."""
    return {
        "id": "ID_1",
        "active": True,
        "createTime": MS,
        "updateTime": MS + 5000,
        "state": "paid",
        "formType": "expense",
        "form": {
            "code": "B26000001",
            "title": "北京出差",
            "specificationId": "SPEC_EXPENSE:1a2b",
            "submitterId": "corp:s1",
            "expenseDepartment": "corp:d1",
            "法人实体": "ID_E01",
            "submitDate": MS,
            "flowEndTime": MS + 4000,
            "expenseMoney": money(total),
            "payMoney": money(total),
            "writtenOffMoney": money("0.00"),
            "companyRealPay": money("0.00"),
            "details": list(lines) or [line()],
        }
        | form,
        "logs": [],
    }


def portion(amount: Any, department: str | None = None) -> Json:
    form: Json = {"apportionMoney": money(amount)}
    return {"apportionForm": form | ({"expenseDepartment": department} if department else {})}


# -- a server that answers what it is told -------------------------------------------------------------


@dataclass
class Reply:
    """An answer. `cut` closes the connection after so many bytes of the body; `drop` before any."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    drop: bool = False

    @classmethod
    def of(cls, value: Any, status: int = 200, **more: Any) -> Reply:
        return cls(status, json.dumps(value, ensure_ascii=False).encode(), **more)


@dataclass
class Call:
    method: str
    path: str
    query: dict[str, str]
    body: Any


@dataclass
class Script:
    """Answers calls by a function and remembers them. Tokens are handed out unless `tokens` says otherwise."""

    answer: Callable[[Call], Reply] = lambda _: Reply()
    tokens: Callable[[Call], Reply] | None = None
    calls: list[Call] = field(default_factory=list)
    logins: int = 0

    def reply(self, call: Call) -> Reply:
        if "/auth/" in call.path:
            self.logins += 1
            return self.tokens(call) if self.tokens else token_reply(f"tok-SECRET-{self.logins}")
        self.calls.append(call)
        return self.answer(call)


def token_reply(access: str = TOKEN, expires: datetime = datetime(2026, 11, 20, 10, tzinfo=UTC)) -> Reply:
    return Reply.of(
        {
            "value": {
                "accessToken": access,
                "refreshToken": f"refresh-of-{access}",
                "expireTime": int(expires.timestamp() * 1000),
            }
        }
    )


@contextlib.contextmanager
def serving(script: Script) -> Iterator[str]:
    """The script behind a free loopback port; gives its base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            url = urlsplit(self.path)
            call = Call(
                self.command, url.path, dict(parse_qsl(url.query, True)), json.loads(raw) if raw else None
            )
            reply = script.reply(call)
            if reply.drop:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body[: reply.cut])
            if reply.cut is not None:
                self.close_connection = True

        do_GET = do_POST = do_PUT = _handle  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Quiet."""

        def handle(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                super().handle()

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                super().finish()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


# -- mapping -------------------------------------------------------------------------------------------

MASTER = (
    MasterRecord("department", "corp:d1", "HR", "人力资源部", extra={"legal_entity": "ID_E01"}),
    MasterRecord("department", "corp:d2", "", "研发中心"),
    MasterRecord("staff", "corp:s1", "W0001", "员工0001"),
    MasterRecord("fee_type", "corp:train", "COST11", "火车"),
    MasterRecord("fee_type", "corp:hotel", "COST13", "酒店住宿"),
    MasterRecord("fee_type", "corp:return", "COST92", "归还借款"),
    MasterRecord("legal_entity", "ID_E01", "E01", "示例科技（上海）有限公司"),
    MasterRecord("legal_entity", "ID_E02", "E02", "示例科技（北京）有限公司"),
    MasterRecord("project", "ID_P1", "P001", "智能仓储平台"),
    MasterRecord("project", "ID_P2", "P002", "华东渠道拓展"),
    MasterRecord("supplier", "ID_V1", "V001", "上海示例电子元件有限公司"),
    MasterRecord("payee", "ID_PAY_S1", "", "员工0001", extra={"owner": "INDIVIDUAL", "type": "个人账户"}),
    MasterRecord("payee", "ID_PAY_V1", "", "上海示例电子元件有限公司", extra={"type": "对公账户"}),
    MasterRecord("dimension", "ID_MAT_RAW", "RAW", "原材料"),
)


def mapping_context(invoices: Mapping[str, InvoiceFacts] | None = None, **changes: Any) -> MappingContext:
    source = hesi_source(**changes)
    return MappingContext(
        source=source,
        options=read_options(source),
        zone=ZoneInfo(source.timezone),
        directory=Directory(MASTER),
        invoices=invoices or {},
    )


def mapped(payload: Any, form_type: str = "expense", context: MappingContext | None = None) -> MappedDocument:
    """The payload as the list of that form type would bring it, mapped."""
    return map_document(raw_document(payload, form_type), context or mapping_context())
