"""The Toy OA, a made-up vendor: the example of docs/add-a-vendor.md."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.adapters.oa.toy.client import ToyClient
from include.adapters.oa.toy.source import ToySource
from include.connections import Endpoint
from include.domain.errors import FixConfig
from include.ports import Clock
from include.settings import Source

__all__ = ["ToySource", "build_source"]


class ToyOptions(BaseModel):
    """The source's `options`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    page_size: int = Field(default=50, ge=1, le=50)


def build_source(source: Source, endpoint: Endpoint, clock: Clock) -> ToySource:
    """The adapter of one installation: the endpoint's login is the key, its password the secret.

    Raises:
        FixConfig: options that do not exist or do not fit.
    """
    try:
        options = ToyOptions.model_validate(dict(source.options))
    except ValidationError as error:
        known = ", ".join(ToyOptions.model_fields)
        raise FixConfig(
            f"{source.file}: options 有误，可用的键：{known} / wrong options, the keys are {known}"
        ) from error
    return ToySource(source, ToyClient(endpoint, clock), options.page_size)
