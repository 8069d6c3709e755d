"""Settings of the Feishu adapter alone: the `options` of a source's YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.domain.errors import FixConfig
from include.settings import Source

Code = Annotated[int, Field(ge=1, lt=10**12)]


class FeishuOptions(BaseModel):
    """What may be set. What the vendor's documents do not settle is a switch here, see docs/connectors.md."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reverted: Literal["detail", "query"] = "detail"
    """How an approval that was revoked after its end (REVERTED) is noticed. `detail`: only if a detail says so by itself.
    `query`: instances/query is asked for that status too; unverified.
    """
    write_back: Literal["comment", "none"] = "none"
    comment_user: str = Field(default="", max_length=128)
    """Id of the person in whose name comments are made, of the type `user_id_type`."""
    user_id_type: Literal["open_id", "user_id"] = "open_id"
    """Which id of people documents and comments carry."""
    field_code: Literal["id", "custom_id"] = "id"
    """What mapping files name fields by; a widget without a custom_id keeps its id."""
    token_path: str = Field(
        default="/open-apis/auth/v3/tenant_access_token/internal",
        pattern=r"^/[A-Za-z0-9/_.-]*$",
        max_length=200,
    )
    token_codes: Sequence[Code] = (99991663,)
    """Codes that say that a token is not good any more."""
    busy_codes: Sequence[Code] = (99991400,)
    """Codes that say that calls come too fast."""
    gone_codes: Sequence[Code] = (60003,)
    """Codes that say that there is no such instance."""
    page_size: int = Field(default=100, ge=1, le=100)
    window_h: float = Field(default=10, gt=0, le=10)
    """Hours of one list; the vendor refuses more than ten."""
    window_overlap_s: int = Field(default=60, ge=0, le=3600)
    """By how much lists overlap; has to be less than a window."""
    lists_per_min: int = Field(default=100, ge=1, le=100_000)
    details_per_min: int = Field(default=1000, ge=1, le=100_000)
    """The vendor's ceilings; they count for one process."""
    concurrency: int = Field(default=4, ge=1, le=16)
    connect_timeout_s: float = Field(default=10, gt=0, le=120)
    read_timeout_s: float = Field(default=60, gt=0, le=600)
    attempts: int = Field(default=5, ge=1, le=20)
    """How often a read is tried in all before the run gives up for now."""
    max_body_mb: int = Field(default=32, ge=1, le=256)
    max_pages: int = Field(default=10_000, ge=1)
    """Pages of one window; more means that the OA does not come to an end."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.write_back == "comment" and not self.comment_user:
            raise ValueError(
                "comment_user: 写明以谁的名义评论 / name the person in whose name comments are made"
            )
        if self.window_overlap_s >= self.window_h * 3600:
            raise ValueError("window_overlap_s: 须小于 window_h / has to be less than window_h")
        return self


def read_options(source: Source) -> FeishuOptions:
    """The checked options of a source.

    Raises:
        FixConfig: everything wrong in them, one line each.
    """
    file = source.file or f"sources/{source.id}.yaml"
    try:
        return FeishuOptions.model_validate(dict(source.options))
    except ValidationError as error:
        raise FixConfig("\n".join(_explain(file, detail) for detail in error.errors())) from None


def _explain(file: str, detail: object) -> str:
    assert isinstance(detail, dict)
    where = ".".join(["options", *(str(part) for part in detail["loc"])])
    if detail["type"] == "extra_forbidden":
        valid = "、".join(sorted(FeishuOptions.model_fields))
        return f"{file}: {where}: 未知的键，可用：{valid} / unknown key, choose from: {valid}"
    if detail["type"] == "value_error":
        return f"{file}: {where}.{detail['ctx']['error']}"
    shown = str(detail.get("input"))[:80]
    return f"{file}: {where}: 值 {shown!r} 不可用，请修改 / {detail['msg']}, change it"
