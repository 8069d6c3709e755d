"""What the documents of e-cology leave open, as switches: every default is stated here, and why in README.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from include.emulators.weaver.problems import EmulatorError

CHOICES: Mapping[str, tuple[str, ...]] = {
    "database": ("sqlserver", "oracle"),
    "conditions": ("sql", "refused"),
    "sql_error": ("empty", "fault"),
    "encoding": ("utf-8", "gbk", "gbk-undeclared"),
    "write_back": ("archived_save", "voucher_node", "register", "refused"),
    "secret_field": ("secrit", "secret"),
    "code_shape": ("name", "object"),
}
FIXED = ("database", "write_back")
"""Options that shape the generated documents: fixed once a data file exists."""


@dataclass(frozen=True, slots=True)
class Options:
    """Switches of one emulated installation.

    Attributes:
        database: the product's database. `sqlserver`: DECIMAL(15,2) amounts ("1234.50"), lists cut with TOP from
            the caller's recordCount. `oracle`: NUMBER amounts ("1234.5", ".5"), lists cut by row number.
        conditions: `sql`: SOAP lists take raw SQL fragments. `refused`: a patched build faults on any.
        sql_error: what a fragment that the database refuses leads to: an `empty` list and a count of 0, as the
            product logs the error and goes on, or a SOAP `fault`.
        encoding: of all answers; `gbk-undeclared` sends GBK and declares nothing.
        write_back: who takes a voucher number: see README.md.
        secret_field: how `regist` spells the secret.
        code_shape: `code` of REST answers: "SUCCESS", or {"name": "SUCCESS", "statusCode": 1}.
        single_namespace: the WSDL puts operations into http://webservices.workflow.weaver too.
        wsdl_address: what soap:address says instead of the service's own URL ("" for its own).
        wsdl_import: a schemaLocation for the WSDL to import ("" for none).
        soap_allow_ips: addresses that may use SOAP; empty for all.
        withdraw_archived: withdrawRequest works on an archived request.
        submit_needs_workflow_id: submitRequest without workflowId is a parameter error about requestid.
        endless_pages: lists begin again after their last page.
        move_delay_ms: how long the flow takes to move after a submission.
        token_ttl_s: life of a token for which `time` was not given.
    """

    database: str = "sqlserver"
    conditions: str = "sql"
    sql_error: str = "empty"
    encoding: str = "utf-8"
    write_back: str = "archived_save"
    secret_field: str = "secrit"  # noqa: S105  (the name of a field)
    code_shape: str = "name"
    single_namespace: bool = False
    wsdl_address: str = ""
    wsdl_import: str = ""
    soap_allow_ips: tuple[str, ...] = ()
    withdraw_archived: bool = True
    submit_needs_workflow_id: bool = False
    endless_pages: bool = False
    move_delay_ms: int = 800
    token_ttl_s: int = 1800

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise EmulatorError(
                    f"选项 {name} 不能为 {value!r}，可用：{', '.join(allowed)} / "
                    f"option {name} cannot be {value!r}, use one of: {', '.join(allowed)}"
                )
        if self.move_delay_ms < 0 or self.token_ttl_s < 1:
            raise EmulatorError(
                "move_delay_ms 不能为负，token_ttl_s 至少为 1 / move_delay_ms must not be negative, token_ttl_s at least 1"
            )

    def changed(self, values: Mapping[str, Any]) -> Options:
        """These options with some values replaced.

        Raises:
            EmulatorError: an unknown name, or a value of another type or outside its choices.
        """
        known = {item.name for item in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise EmulatorError(
                    f"没有选项 {name!r}，可用：{', '.join(sorted(known))} / "
                    f"unknown option {name!r}, use one of: {', '.join(sorted(known))}"
                )
            kind = type(getattr(self, name))
            given = tuple(value) if kind is tuple and isinstance(value, list) else value
            if type(given) is not kind:
                raise EmulatorError(
                    f"选项 {name} 须为 {kind.__name__}，得到 {value!r} / option {name} must be a {kind.__name__}"
                )
            values = {**values, name: given}
        return replace(self, **values)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"soap_allow_ips": list(self.soap_allow_ips)}


def parse_setting(text: str) -> tuple[str, Any]:
    """`name=value` from the command line, with the value in the option's own type.

    Raises:
        EmulatorError: no `=`, or an unknown option, or no number where one is needed.
    """
    name, found, value = text.partition("=")
    default = getattr(Options(), name, None)
    if not found or default is None:
        raise EmulatorError(f"选项写作 名称=值，得到 {text!r} / write an option as name=value, not {text!r}")
    if isinstance(default, bool):
        return name, value.lower() in {"1", "true", "yes"}
    if isinstance(default, tuple):
        return name, [item for item in value.split(",") if item]
    if isinstance(default, int):
        try:
            return name, int(value)
        except ValueError:
            raise EmulatorError(f"选项 {name} 须为整数 / option {name} must be a whole number") from None
    return name, value
