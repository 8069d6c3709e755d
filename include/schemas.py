"""JSON schemas of templates, books, sources and form mappings, by which editors complete and check the YAML files.

They are made from the models, and say what the models cannot: which facts, measures and placeholders there are. A file
that the loader takes fits its schema; what needs several places of a file together only the loader checks.
`python -m include.schemas` writes them to include/config/schemas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from include.adapters.registry import LEDGERS, SOURCES
from include.domain.document import DocumentKind
from include.form_mappings import FormMapping
from include.rules import facts
from include.rules.facts import FactType, Measure, Scope
from include.rules.schema import TemplateFile
from include.schema_words import FORM_WORDS
from include.settings import DEFAULT_CONFIG_DIR, Book, Source

Schema = dict[str, Any]
FOLDER = DEFAULT_CONFIG_DIR / "schemas"
DIALECT = "http://json-schema.org/draft-07/schema#"
"""The one that the YAML language server of all editors knows whole."""
_PROPERTY = facts.PROPERTY.pattern
_REFERENCE = re.compile(r'"#/\$defs/(\w+)"')
_WORDS = {
    "TemplateFile": "凭证模板文件 / a file of voucher templates",
    "TemplateFile.templates": "凭证模板，一种会计事项一个 / voucher templates, one for each accounting event",
    "VoucherTemplate": "凭证模板：一种单据做哪些分录，或为什么不做 / which lines a kind of document makes, or why none",
    "VoucherTemplate.id": "名称，在全部文件中唯一 / its name, unique in all files",
    "VoucherTemplate.event": "会计事项；同一单据的一个事项只能有一个模板适合 / the accounting event; one template fits a document's event",
    "VoucherTemplate.title": "给人看的名称 / the name for people",
    "VoucherTemplate.kinds": "单据类型 / kinds of documents",
    "VoucherTemplate.when": "条件，全部成立才适合 / conditions, all must hold",
    "VoucherTemplate.valid_from": "从这一天的凭证开始（含）/ from vouchers of this day on, included",
    "VoucherTemplate.valid_to": "到这一天的凭证为止（含）/ until vouchers of this day, included",
    "VoucherTemplate.word": "凭证字 / voucher word",
    "VoucherTemplate.summary": "摘要，{document.title} 等由单据填入 / the summary; facts of the document in braces",
    "VoucherTemplate.no_voucher": "不做凭证的原因（代替 lines）/ why it makes no voucher, instead of lines",
    "VoucherTemplate.lines": "分录，至少一借一贷 / the lines, a debit and a credit at least",
    "Entry": "一种分录 / one kind of journal line",
    "Entry.name": "名称，在模板中唯一 / its name, unique in the template",
    "Entry.for_each": "每个单据、每条明细或每笔核销做一条 / one for each document, line or write-off",
    "Entry.side": "借方或贷方 / debit or credit",
    "Entry.measure": "取哪个金额（本位币）/ which amount, in the book's currency",
    "Entry.fraction": "取金额的这一部分，0 到 1 之间 / this fraction of the amount, between 0 and 1",
    "Entry.less": "减去本模板中这些分录的金额 / less the amounts of these lines of the template",
    "Entry.red": "红字：本方负数 / negative on its own side",
    "Entry.account": "科目从哪里来 / where the account comes from",
    "Entry.fixed_dimensions": "固定的辅助核算 / dimensions that are always the same",
    "Entry.dimensions": "辅助核算，必须有值 / dimensions that must be there",
    "Entry.optional_dimensions": "辅助核算，可以没有值 / dimensions that may be missing",
    "Entry.when": "条件，全部成立才做这条分录 / conditions, all must hold for this line",
    "Entry.merge": "合并科目、辅助核算和币种相同的分录；day 还要同一天 / equal account, dimensions and currency make one line; "
    "day: of one day",
    "Entry.summary": "这条分录的摘要，省略时用模板的 / the line's summary, the template's if left out",
    "AccountRef": "accounts 表中的键，或决策表 / a key of the accounts table, or a decision table",
    "AccountRef.key": "accounts 表中的键 / a key of the accounts table",
    "AccountRef.table": "决策表的文件名，不含 .csv 或 .xlsx / the decision table's file, without .csv or .xlsx",
    "Fixed": "固定的辅助核算值 / a dimension value that is always the same",
    "Fixed.code": "编码 / code",
    "Fixed.name": "名称 / name",
    "Label": "给人看的文字 / words for people",
    "Label.zh": "中文 / Chinese",
    "Label.en": "英文 / English",
    "Predicate": "对一个事实的一个条件 / one condition on one fact",
    "Predicate.equals": "等于 / equals",
    "Predicate.in": "其中之一 / one of",
    "Predicate.prefix": "以此开头 / begins with",
    "Predicate.range": "金额范围，单位元 / a range of amounts in major units",
    "Predicate.is_missing": "没有值 / no value",
    "Predicate.not_missing": "有值 / any value",
    "Range": "金额范围，含两端，可只写一端 / from and to, both included, one may be left out",
    "Range.from": "从 / from",
    "Range.to": "到 / to",
    "DocumentKind": "单据类型 / kind of document",
    "Scope": "为什么做一条分录 / what a line is made for",
    "Side": "借 debit，贷 credit / debit or credit",
    "Book": "账簿：一个法人实体在一个会计系统中的账 / one legal entity's ledger in one accounting system",
    "Book.id": "名称，与文件名一致 / its name, that of the file",
    "Book.name": "给人看的名称 / the name for people",
    "Book.currency": "本位币，ISO 4217 / functional currency, ISO 4217",
    "Book.timezone": "时区 / time zone",
    "Book.source": "来源（sources 中的文件名）/ the source, a file of sources",
    "Book.legal_entities": "属于本账簿的法人实体编码 / codes of the legal entities that belong here",
    "Book.receives_unassigned": "不属于任何账簿的单据隔离在此；每个来源恰有一个账簿为 true / documents of no book are quarantined "
    "here; one book of each source says true",
    "Book.ledger": "会计系统 / the accounting system",
    "Book.voucher_date": "凭证日期取批准、支付、提交之日，或首次读到其应入账之日 / the voucher's day: approved, paid, submitted, or that of the run which first finds it due",
    "Book.closed_period": "会计期间已关闭时：暂挂、改到下一个开放期间、或由人决定 / when its period is closed: hold, next_open or ask",
    "Book.after_posting": "过账后单据变更怎么办 / what becomes of posted vouchers whose documents change",
    "Book.residue": "尾差放在哪里 / where the last cents of a split go",
    "Book.owner": "负责人 / who looks after it",
    "Book.schedule": "每日运行时间（cron）/ when it runs (cron)",
    "Book.pool_slots": "同时占用会计系统的名额 / slots of the ledger's pool",
    "Ledger": "会计系统 / the accounting system",
    "Ledger.system": "哪种系统 / which system",
    "Ledger.connection": "Airflow 连接名 / name of the Airflow connection",
    "Ledger.create_missing": "会计系统中没有时可以新建的辅助核算 / dimension kinds that may be made in the ledger when it lacks a value",
    "Ledger.calls_per_s": "每秒最多调用几次（每分钟 60 次填 1）；省略时按适配器所知 / the ceiling of calls per second: 1 for 60 a minute",
    "Ledger.burst": "空闲后可一次连发几次，取厂商限额的整除数 / calls that may go at once after a rest: a whole part of the vendor's count",
    "Ledger.workers": "同时进行的调用数 / how many calls may be under way at once",
    "Ledger.split_calls": "整批被拒时，一次运行最多用几次调用找出有问题的凭证 / calls that one run may spend on a refused batch",
    "Ledger.keep_exchanges_days": "请求与回答的（已脱敏）原文保留天数，摘要长期保留 / days that redacted texts of calls are kept",
    "Ledger.options": "该系统专有的设置 / settings of that system alone",
    "AfterPosting": "过账后单据变更怎么办：自动处理或由人决定 / what becomes of posted vouchers whose documents change: by itself, or ask",
    "AfterPosting.withdrawn": "单据撤回、删除、作废或改属其他账簿：由人决定或自动红冲 / withdrawn, deleted, nullified or moved: ask or reverse",
    "AfterPosting.altered": "单据修改：由人决定或自动红冲重做 / altered: ask, or reverse and replace",
    "AfterPosting.prior_year": "凭证属已结账的以前年度：由人决定或自动蓝字订正 / of a closed year: ask, or correct by a blue voucher",
    "AfterPosting.prior_year_account": "accounts 表中“以前年度损益调整”的键 / key of the accounts table for prior years' profit and loss",
    "AfterPosting.profit_and_loss": "损益类科目编码的开头 / how codes of profit and loss accounts begin",
    "ResidueAccount": "尾差单列一条分录 / a line of its own for what is left",
    "ResidueAccount.account": "accounts 表中的键 / a key of the accounts table",
    "Source": "来源：供给账簿的 OA 或费控系统 / the OA or expense system that feeds books",
    "Source.id": "名称，与文件名一致 / its name, that of the file",
    "Source.system": "哪种系统 / which system",
    "Source.connection": "Airflow 连接名 / name of the Airflow connection",
    "Source.timezone": "时区 / time zone",
    "Source.functional_currency": "单据的本位币，ISO 4217 / functional currency of its documents, ISO 4217",
    "Source.start": "早于这一天的修改不读 / documents changed before this day are never read",
    "Source.overlap_s": "每次往回多读的秒数 / seconds that every extract reads back behind its watermark",
    "Source.forms": "单据类型与模板对应哪种业务，先匹配者为准 / which kind a form or template is; the first that fits wins",
    "Source.fields": "表单字段的名称 / keys of the forms' fields",
    "Source.options": "该系统专有的设置 / settings of that system alone",
    "FormRule": "一种表单是哪种单据 / which kind of document a form is",
    "FormRule.form": "表单类型 / form type",
    "FormRule.template": "单据模板，省略时不限 / template, any if left out",
    "FormRule.kind": "单据类型 / kind of document",
    "Fields": "表单字段的名称 / keys of the forms' fields",
    "Fields.legal_entity": "法人实体字段 / field of the legal entity",
    "Fields.project": "项目字段 / field of the project",
    "Fields.supplier": "供应商字段 / field of the supplier",
    "Fields.properties": "供规则使用的其他字段：我们的名称 → 表单字段 / further fields for rules: our name to the form's key",
} | FORM_WORDS  # fmt: skip
"""What an editor shows beside a key, Chinese first."""


def build() -> dict[str, Schema]:
    """All schemas by the name of their file, `template`, `book`, `source` and `mapping`."""
    template = _schema_of(TemplateFile)
    definitions = template["$defs"]
    predicates = _predicates(definitions.pop("Predicate"))
    definitions |= predicates
    definitions["Range"]["minProperties"] = 1
    definitions["AccountRef"] |= {"minProperties": 1, "maxProperties": 1}
    definitions["VoucherTemplate"]["oneOf"] = [{"required": ["lines"]}, {"required": ["no_voucher"]}]
    _close_template(definitions["VoucherTemplate"]["properties"])
    _close_entry(definitions["Entry"])
    book, source = _schema_of(Book), _schema_of(Source)
    book["properties"]["currency"]["pattern"] = "^[A-Z]{3}$"
    book["$defs"]["Ledger"]["properties"]["system"]["enum"] = sorted(LEDGERS)
    source["properties"]["functional_currency"]["pattern"] = "^[A-Z]{3}$"
    source["properties"]["system"]["enum"] = sorted(SOURCES)
    return {"template": template, "book": book, "source": source, "mapping": _mapping()}


def _mapping() -> Schema:
    """Of form mappings, where a field without further keys may be written as its code alone."""
    mapping = _schema_of(FormMapping)
    definitions = mapping["$defs"]
    mapping["properties"]["properties"]["additionalProperties"] = False  # beside the pattern of names
    kinds = definitions["DocumentKind"]["enum"]
    kinds.remove(DocumentKind.UNKNOWN)
    for name, definition in definitions.items():
        properties = definition.get("properties", {})
        if name == "Target" or ("by" in properties and set(definition.get("required", ())) <= {"field"}):
            definitions[name] = {
                "description": definition["description"],
                "anyOf": [{"type": "string", "minLength": 1}, definition],
            }
    return mapping


def text_of(schema: Schema) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.schema.json"


def _schema_of(model: type[BaseModel]) -> Schema:
    """Pydantic's schema, described in two languages, without keys that no file may hold, and without null."""
    schema = model.model_json_schema(by_alias=True)
    hidden = [name for name, field in model.model_fields.items() if field.exclude]
    for name in hidden:
        del schema["properties"][name]
    _drop_unused(schema)
    for name, definition in [(model.__name__, schema), *schema.get("$defs", {}).items()]:
        definition["description"] = _WORDS[name]
        for key, value in definition.get("properties", {}).items():
            definition["properties"][key] = {**_without_null(value), "description": _WORDS[f"{name}.{key}"]}
        definition.pop("title", None)
    return {"$schema": DIALECT, "title": model.__name__, **schema}


def _drop_unused(schema: Schema) -> None:
    """Take out the definitions that only hidden keys named."""
    definitions = schema.get("$defs", {})
    parts = [{key: value for key, value in schema.items() if key != "$defs"}]
    used: set[str] = set()
    while parts:
        found = set(_REFERENCE.findall(json.dumps(parts.pop()))) - used
        used |= found
        parts += [definitions[name] for name in found]
    for name in set(definitions) - used:
        del definitions[name]


def _without_null(schema: Schema) -> Schema:
    """Where a key may be left out, to write it down without a value is a slip of the pen."""
    kept = {
        key: value for key, value in schema.items() if key != "title" and (key, value) != ("default", None)
    }
    choices = [choice for choice in kept.pop("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        kept |= choices[0]
    elif choices:
        kept["anyOf"] = choices
    if "$ref" in kept:
        # The dialect ignores what stands beside a reference.
        kept = {"allOf": [{"$ref": kept.pop("$ref")}], **kept}
    return kept


def _predicates(general: Schema) -> dict[str, Schema]:
    """A condition on text and one on an amount: a bare word, or exactly one key."""
    words = ["is_missing", "not_missing"]
    of = {"TextPredicate": ["equals", "in", "prefix", *words], "AmountPredicate": ["range", *words]}
    return {
        name: {
            "description": general["description"],
            "anyOf": [
                {"enum": words},
                {
                    "type": "object",
                    "properties": {key: general["properties"][key] for key in keys},
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ],
        }
        for name, keys in of.items()
    }


def _conditions(prefixes: Sequence[str]) -> Schema:
    """The facts that `when` may name, each with the conditions that suit it."""
    return {
        "type": "object",
        "properties": {path: {"$ref": f"#/$defs/{_predicate_of(path)}"} for path in _facts(prefixes)},
        "patternProperties": {_PROPERTY: {"$ref": "#/$defs/TextPredicate"}},
        "additionalProperties": False,
    }


def _facts(prefixes: Sequence[str]) -> Iterator[str]:
    return (path for prefix in prefixes for path in facts.names_of(prefix) if facts.fact(path))


def _predicate_of(path: str) -> str:
    found = facts.fact(path)
    return "AmountPredicate" if found and found.type is FactType.AMOUNT else "TextPredicate"


def _summary(placeholders: Sequence[str]) -> str:
    """The pattern of a summary: any text, and these names in braces."""
    names = "|".join(map(re.escape, placeholders))
    return rf"^(?:[^{{}}]|\{{(?:{names})\}})+$"


def _close_template(properties: Schema) -> None:
    properties["when"] |= _conditions(["document"])
    properties["summary"]["pattern"] = _summary(facts.placeholders_for(("document",)))


def _close_entry(entry: Schema) -> None:
    """What an entry may name at all, for completion, and what its scope lets it name."""
    everything = list(dict.fromkeys(prefix for scope in Scope for prefix in scope.sees))
    properties = entry["properties"]
    properties["measure"] |= {
        "anyOf": [{"enum": [str(measure) for measure in Measure]}, {"pattern": _PROPERTY}]
    }
    properties["when"] |= _conditions(everything)
    references = list(dict.fromkeys(name for scope in Scope for name in facts.references_for(scope)))
    for key in ("dimensions", "optional_dimensions"):
        properties[key] = _dimensions(references) | {"description": properties[key]["description"]}
    properties["fixed_dimensions"] |= {"additionalProperties": False} | {
        "properties": dict.fromkeys(
            facts.DIMENSION_KINDS, properties["fixed_dimensions"]["additionalProperties"]
        )
    }
    del properties["fixed_dimensions"]["propertyNames"]
    entry["allOf"] = [_scope_of(scope) for scope in Scope]


def _dimensions(references: Sequence[str]) -> Schema:
    return {
        "type": "object",
        "properties": {kind: {"enum": list(references)} for kind in facts.DIMENSION_KINDS},
        "additionalProperties": False,
    }


def _scope_of(scope: Scope) -> Mapping[str, Any]:
    """What holds for entries of a scope; those that name none are of the document."""
    is_default = scope is Scope.DOCUMENT
    measures = [str(measure) for measure in Measure if measure in facts.MEASURES[scope]]
    dimensions = _dimensions(facts.references_for(scope))
    placeholders = (
        *facts.placeholders_for(scope.sees),
        *(["line.occurred_on"] if scope is Scope.LINE else []),
    )
    return {
        "if": {
            "properties": {"for_each": {"const": str(scope)}},
            **({} if is_default else {"required": ["for_each"]}),
        },
        "then": {
            "properties": {
                "measure": {"anyOf": [{"enum": measures}, *([{"pattern": _PROPERTY}] if is_default else [])]},
                "dimensions": dimensions,
                "optional_dimensions": dimensions,
                "when": {
                    "propertyNames": {"anyOf": [{"enum": list(_facts(scope.sees))}, {"pattern": _PROPERTY}]}
                },
                "summary": {"pattern": _summary(tuple(dict.fromkeys(placeholders)))},
            }
        },
    }


def main() -> None:
    """Write all schemas to their files."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in build().items():
        path_of(name).write_text(text_of(schema), "utf-8")


if __name__ == "__main__":
    main()
