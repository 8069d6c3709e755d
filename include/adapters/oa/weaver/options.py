"""Settings of the e-cology adapter alone: the `options` of a source's YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.domain.errors import FixConfig
from include.settings import Source

Number = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
Name = Annotated[str, Field(min_length=1, max_length=128)]


class Register(BaseModel):
    """The workflow in which voucher numbers are registered; its voucher fields are named as in the documents' own form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workflow: Number
    document: Name
    """The field (请求 browser) that names the document."""
    code: str = ""
    """The field for the document's number, if there is one."""
    title: str = "凭证登记"


class WeaverOptions(BaseModel):
    """What may be set. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    interface: Literal["rest", "soap"] = "rest"
    """E9's REST interface, or WorkflowService, which older releases have alone."""
    approved_nodes: Sequence[Name] = ()
    """Nodes (name or id) before the end where approved requests wait for their voucher, 财务制证."""
    write_back: Literal["archived_save", "voucher_node", "register", "none"] = "archived_save"
    """How a voucher number gets onto a document; the vendor has no call for it. `archived_save`: saved on the ended
    request. `voucher_node`: written and submitted at one of `approved_nodes`. `register`: by a request of another
    workflow, whose node action copies it.
    """
    register_in: Register | None = None
    soap_address: Literal["checked", "connection"] = "checked"
    """Whether the address in the WSDL has to be the connection's own. `connection`: it is not used at all, for servers
    that do not know the name by which they are reached.
    """
    page_size: int = Field(default=100, ge=2, le=1000)
    window_pages: int = Field(default=10, ge=1, le=1000)
    """How many pages of a list are read as one piece, in memory."""
    concurrency: int = Field(default=4, ge=1, le=16)
    connect_timeout_s: float = Field(default=10, gt=0, le=120)
    read_timeout_s: float = Field(default=60, gt=0, le=600)
    attempts: int = Field(default=5, ge=1, le=20)
    """How often a read is tried in all before the run gives up for now."""
    max_body_mb: int = Field(default=32, ge=1, le=256)
    """The most that an answer may hold, unpacked."""
    max_pages: int = Field(default=100_000, ge=1)
    """Pages of one list; more means that the OA does not come to an end."""
    token_life_s: int = Field(default=1800, ge=60, le=86_400)
    move_wait_s: float = Field(default=10, ge=0, le=120)
    """How long a submitted request may take to leave its node before the write-back counts as open."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.write_back == "register" and self.register_in is None:
            raise ValueError("register_in: 写明登记流程 / name the workflow that registers vouchers")
        if self.write_back == "voucher_node" and not self.approved_nodes:
            raise ValueError(
                "approved_nodes: 写明等待制证的节点 / name the nodes where requests wait for their voucher"
            )
        return self


def read_options(source: Source) -> WeaverOptions:
    """The checked options of a source.

    Raises:
        FixConfig: everything wrong in them, one line each; or a mapping that names a template which is no workflow id.
    """
    file = source.file or f"sources/{source.id}.yaml"
    try:
        options = WeaverOptions.model_validate(dict(source.options))
    except ValidationError as error:
        raise FixConfig("\n".join(_explain(file, detail) for detail in error.errors())) from None
    for mapping in source.mappings:
        for template in mapping.templates:
            if not (template.isascii() and template.isdigit() and len(template) < 10):
                raise FixConfig(
                    f"{mapping.file or file}: templates: {template!r} 不是流程 id（workflowId，如 61）/ no workflow id, give a "
                    "number such as 61"
                )
    return options


def _explain(file: str, detail: object) -> str:
    assert isinstance(detail, dict)
    where = ".".join(["options", *(str(part) for part in detail["loc"])])
    if detail["type"] == "extra_forbidden":
        model = Register if "register_in" in detail["loc"][:-1] else WeaverOptions
        valid = "、".join(sorted(model.model_fields))
        return f"{file}: {where}: 未知的键，可用：{valid} / unknown key, choose from: {valid}"
    if detail["type"] == "value_error":
        return f"{file}: {where}.{detail['ctx']['error']}"
    shown = str(detail.get("input"))[:80]
    return f"{file}: {where}: 值 {shown!r} 不可用，请修改 / {detail['msg']}, change it"
