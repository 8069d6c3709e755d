"""The cases of the ledger suite in which something goes wrong on the way: answers, sessions, speed, secrets."""

from __future__ import annotations

import logging

import pytest

from include.conformance.ledger_words import (
    DEPARTMENT,
    EMPLOYEE,
    PROJECT,
    LedgerUnderTest,
    copies,
    only,
    post,
    voucher,
)
from include.conformance.subject import unsupported
from include.domain.errors import FixConfig, OutcomeUnknown, RetryLater
from include.domain.voucher import (
    LedgerVoucherState,
    PostingOutcome,
    Voucher,
    content_digest,
)
from include.exchanges import recording
from include.ports import ProofLevel


class TroubleCases:
    """A part of `LedgerSuite`."""

    def test_a_lost_answer_is_unknown_and_the_voucher_is_there_once(self, books: LedgerUnderTest) -> None:
        """Exactly once at the ledger's proof level: look, and send again only what is proved absent."""
        ours = voucher()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])

        with books.lose_answers(), pytest.raises(OutcomeUnknown):
            books.gateway.post([ours])

        there = copies(books.gateway, ours)
        assert len(there) == 1
        (completed,) = books.gateway.complete(there)
        assert completed.state is LedgerVoucherState.POSTED
        assert copies(books.gateway, ours) == [completed]

    def test_a_lost_request_leaves_nothing_and_may_be_sent_again(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])

        with books.lose_requests(), pytest.raises((OutcomeUnknown, RetryLater)):
            books.gateway.post([ours])

        assert not copies(books.gateway, ours)
        assert post(books.gateway, ours) == [PostingOutcome.CREATED]
        assert len(copies(books.gateway, ours)) == 1

    def test_half_an_answer_is_no_answer(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])

        with books.break_answers(), pytest.raises(OutcomeUnknown):
            books.gateway.post([ours])

        assert len(copies(books.gateway, ours)) == 1

    def test_the_same_key_is_never_two_vouchers(self, books: LedgerUnderTest) -> None:
        if books.gateway.proof_level is not ProofLevel.NATIVE_KEY:
            unsupported(
                "会计系统不检查我方键，发送前由我方查询 / the ledger checks no keys of ours: we look before we send"
            )
        ours, other = voucher(), voucher()
        changed = Voucher(ours.key, other.word, other.date, other.lines)
        post(books.gateway, ours)

        assert post(books.gateway, ours) == [PostingOutcome.EXISTS]
        (outcome,) = post(books.gateway, changed)
        assert outcome in {PostingOutcome.EXISTS, PostingOutcome.CONFLICT}

        found = only(books.gateway, ours)
        assert content_digest(found.date, found.lines) == content_digest(ours.date, ours.lines)

    def test_a_session_that_ends_under_way_is_taken_up_again(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        books.expire_sessions()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        books.expire_sessions()
        assert post(books.gateway, ours) == [PostingOutcome.CREATED]
        books.expire_sessions()

        assert len(copies(books.gateway, ours)) == 1

    def test_calls_refused_for_their_speed_do_nothing(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])

        with books.refuse_calls():
            try:
                done = post(books.gateway, ours)
            except RetryLater:
                assert not copies(books.gateway, ours)
                done = post(books.gateway, ours)

        assert done == [PostingOutcome.CREATED]
        assert len(copies(books.gateway, ours)) == 1

    def test_a_wrong_secret_is_a_matter_of_configuration(self, books: LedgerUnderTest) -> None:
        with pytest.raises(FixConfig) as refused:
            books.with_wrong_secret().check()
        assert not [secret for secret in books.secrets if secret in str(refused.value)]

    def test_secrets_are_never_logged_nor_kept(
        self, books: LedgerUnderTest, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        ours = voucher()
        books.expire_sessions()
        with recording() as exchanges:
            said = [books.gateway.check()]
            post(books.gateway, ours)
            with books.unreadable(), pytest.raises(RetryLater) as failed:
                books.gateway.find([ours])
            with pytest.raises(FixConfig) as refused:
                books.with_wrong_secret().check()
        said += [str(failed.value), str(refused.value), repr(books.gateway)]
        said += [f"{each.request} {each.response}" for each in exchanges]
        text = "\n".join([caplog.text, *said])
        assert books.secrets
        assert not [number for number, secret in enumerate(books.secrets) if secret in text]
