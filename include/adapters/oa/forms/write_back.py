"""What the OA shall show of the accounting's answer, and in which fields."""

from __future__ import annotations

from dataclasses import dataclass

from include.form_mappings import FormMapping, WriteBack


@dataclass(frozen=True, slots=True)
class Answer:
    """A voucher number with its period, or why there is none; all empty after a reversal."""

    voucher_no: str = ""
    fiscal_period: str = ""
    error: str = ""


def answer_fields(mapping: FormMapping, answer: Answer) -> dict[str, str]:
    """Field codes of the form → text to write; empty where the mapping writes nothing back. Same answer, same fields."""
    target = mapping.write_back or WriteBack()
    texts = {
        target.voucher_no: answer.voucher_no,
        target.fiscal_period: answer.fiscal_period,
        target.error: answer.error,
    }
    if target.state is not None:
        state = target.state
        texts[state.field] = (
            state.posted if answer.voucher_no else state.failed if answer.error else state.cleared
        )
    return {field: text for field, text in texts.items() if field}


def answer_comment(mapping: FormMapping, answer: Answer) -> str:
    """What to say as a comment, Chinese first; empty where the mapping asks for none."""
    if mapping.write_back is None or not mapping.write_back.comment:
        return ""
    if answer.voucher_no:
        return f"已生成凭证 {answer.voucher_no}（{answer.fiscal_period}） / voucher {answer.voucher_no} of {answer.fiscal_period}"
    if answer.error:
        return f"未能生成凭证：{answer.error} / no voucher: {answer.error}"
    return "凭证已冲销 / the voucher was reversed"
