"""The rules of `{{name}}`, failure cases first: through the same entry point that the host calls."""

import json
import unittest
from typing import Any

from {{module}} import deliver

from lockgate_sdk import http, testing

RECORD = {"externalId": "A-1001", "amount": "12.50"}


def run(answer: testing.Answer, config: dict[str, Any] | None = None) -> testing.Run:
    return testing.Host(config=config or {}, answers=[answer]).run(deliver, testing.message(RECORD))


class Rules(unittest.TestCase):
    def test_what_may_pass_is_tried_again_and_the_rest_is_a_dead_letter(self) -> None:
        for status, may_pass in [(500, True), (503, True), (429, True), (400, False), (404, False), (422, False)]:
            failure = run(testing.answer(status, "no")).failure
            assert failure is not None
            self.assertEqual(failure.is_transient, may_pass, status)

    def test_a_target_that_is_down_is_tried_again(self) -> None:
        failure = run(http.Unreachable("refused")).failure
        assert failure is not None
        self.assertTrue(failure.is_transient)

    def test_an_answer_that_is_no_json_is_not_taken_for_a_record(self) -> None:
        self.assertIsNotNone(run(testing.answer(200, "<html>")).failure)

    def test_a_record_that_is_there_already_is_skipped(self) -> None:
        self.assertEqual(run(testing.answer(409)).skip.code, "already-there")

    def test_the_record_goes_out_and_the_receipt_has_its_id(self) -> None:
        done = run(testing.answer(201, {"id": "r-7"}), {"path": "/v1/records"})
        self.assertEqual(done.receipt.remote_id, "r-7")
        sent = done.requests[0]
        self.assertEqual((sent.slot, sent.request.path), ("target", "/v1/records"))
        self.assertEqual(json.loads(sent.request.content), RECORD)
