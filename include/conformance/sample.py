"""What the ledger suite posts: accounts, dimension values and a day. The emulators' by default; a customer names his own."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.domain.errors import FixConfig

MAX_BYTES = 64 * 1024


class Value(BaseModel):
    """A dimension value that exists in the ledger."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(min_length=1)
    name: str = ""


class Sample(BaseModel):
    """The file of `--sample`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: date = date(2026, 3, 10)
    """In an open period; all periods of its year must be there, and those that a case needs open."""
    bank: str = "1002"
    """An account that needs no dimension."""
    expense: str = "6602.10"
    """An expense account that takes department and project and requires neither."""
    expense_name: str = "差旅费"
    input_tax: str = "2221.01.01"
    employee_payable: str = "2241.03"
    """It requires an employee."""
    supplier_payable: str = "2202.01"
    """It requires a supplier."""
    group: str = "6602"
    """An account that is no leaf."""
    unknown: str = "9999.99"
    """A code that no account has."""
    employee: Value = Value(code="0001", name="张三")
    department: Value = Value(code="D01", name="研发部")
    project: Value = Value(code="P01", name="一号项目")


chosen: list[Sample] = [Sample()]
"""The one in use, last; set it before the suite is imported, whose constants come from it."""


def read_sample(path: Path) -> Sample:
    """A sample file.

    Raises:
        FixConfig: it cannot be read, or says something else.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise FixConfig(f"{path}: 样本文件过大 / the sample file is too large")
        return Sample.model_validate(yaml.safe_load(text) or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FixConfig(f"{path}: 无法读取样本 / the sample cannot be read: {error}") from error
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        known = ", ".join(Sample.model_fields)
        raise FixConfig(
            f"{path}: 样本有误，可用的键：{known} / a wrong sample, the keys are {known}: {details}"
        ) from error
