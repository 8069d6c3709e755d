"""Settings of the DingTalk adapter alone: the `options` of a source's YAML file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.domain.errors import FixConfig
from include.settings import Source

Path = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/-]{1,200}$")]
MIN_OVERLAP_S = 120
Key = Annotated[str, Field(min_length=1, max_length=64)]


class DingTalkOptions(BaseModel):
    """What may be set. Times in seconds; what is marked RECALL is from memory, so that it can be corrected here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    write_back: Literal["comment", "none"] = "none"
    """`comment`: the voucher's number is said as a comment on the instance."""
    comment_user: str = Field(default="", max_length=64)
    """userId in whose name comments are made."""
    comment_path: Path = "/v1.0/workflow/processInstances/comments"
    """RECALL."""
    token_path: Path = "/v1.0/oauth2/accessToken"  # noqa: S105  an address
    """RECALL."""
    main_key: Key = "mainProcessInstanceId"
    """RECALL: where a REVOKE or MODIFY instance names the one that it cancels or changes."""
    attached_key: Key = "attachedProcessInstanceIds"
    """RECALL: where an instance names those that cancel or change it."""
    open_days: int = Field(default=120, ge=1, le=365)
    """How long an approval may take: so far back instances are asked for again, since the list goes by creation."""
    slice_days: int = Field(default=10, ge=1, le=120)
    """The span of one list; its instances are in memory together."""
    max_ids: int = Field(default=2000, ge=100, le=10_000)
    """A slice with more instances is halved; DingTalk gives 10,000 a query at most."""
    history_days: int = Field(default=365, ge=1, le=3650)
    """How far back DingTalk lists."""
    page_size: int = Field(default=20, ge=1, le=20)
    concurrency: int = Field(default=4, ge=1, le=16)
    connect_timeout_s: float = Field(default=10, gt=0, le=120)
    read_timeout_s: float = Field(default=60, gt=0, le=600)
    attempts: int = Field(default=5, ge=1, le=20)
    """How often a read is tried in all before the run gives up for now."""
    max_body_mb: int = Field(default=16, ge=1, le=256)
    """The most that an answer may hold, unpacked."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.write_back == "comment" and not self.comment_user:
            raise ValueError("comment_user: 填写发表评论的 userId / name the user who comments, by userId")
        return self


def read_options(source: Source) -> DingTalkOptions:
    """The checked options of a source.

    Raises:
        FixConfig: everything wrong in them, one line each.
    """
    file = source.file or f"sources/{source.id}.yaml"
    if source.overlap_s < MIN_OVERLAP_S:
        raise FixConfig(
            f"{file}: overlap_s: 钉钉的时间只到分钟，请至少设为 {MIN_OVERLAP_S} / DingTalk's times are minutes: set {MIN_OVERLAP_S} at "
            "least"
        )
    try:
        return DingTalkOptions.model_validate(dict(source.options))
    except ValidationError as error:
        raise FixConfig("\n".join(_explain(file, detail) for detail in error.errors())) from None


def _explain(file: str, detail: object) -> str:
    assert isinstance(detail, dict)
    where = ".".join(["options", *(str(part) for part in detail["loc"])])
    if detail["type"] == "extra_forbidden":
        valid = "、".join(sorted(DingTalkOptions.model_fields))
        return f"{file}: {where}: 未知的键，可用：{valid} / unknown key, choose from: {valid}"
    if detail["type"] == "value_error":
        return f"{file}: {where}.{detail['ctx']['error']}"
    shown = str(detail.get("input"))[:80]
    return f"{file}: {where}: 值 {shown!r} 不可用，请修改 / {detail['msg']}, change it"
