"""The rules of `{{name}}`, failure cases first: through the same entry point that the host calls."""

import json
import unittest

from {{module}} import deliver_batch

from lockgate_sdk import Failure, http, testing


def run(bodies: list[str], answer: testing.Answer) -> testing.Run:
    return testing.Host(answers=[answer]).run(deliver_batch, testing.messages(bodies))


def codes(done: testing.Run) -> list[str]:
    return [result.code if isinstance(result, Failure) else "delivered" for result in done.results]


class Rules(unittest.TestCase):
    def test_a_target_that_is_down_is_a_failure_of_every_message_that_may_pass(self) -> None:
        for result in run(["1", "2"], http.Unreachable("refused")).results:
            self.assertTrue(isinstance(result, Failure) and result.is_transient)

    def test_a_row_the_target_says_nothing_of_is_tried_again(self) -> None:
        done = run(["1", "2"], testing.answer(200, [{"id": "a"}]))
        self.assertEqual(codes(done), ["delivered", "row-unanswered"])

    def test_what_is_wrong_with_one_message_is_nobody_elses_failure(self) -> None:
        done = run(["1", "{", "3"], testing.answer(200, [{"id": "a"}, {"error": "too long"}]))
        self.assertEqual(codes(done), ["delivered", "body-invalid", "row-refused"])

    def test_the_good_rows_go_out_in_one_request_and_in_order(self) -> None:
        done = run(["1", "{", "3"], testing.answer(200, []))
        sent = json.loads(done.requests[0].request.content)
        self.assertEqual([row["data"] for row in sent], [1, 3])
