"""Requests, answers, and what each answer means."""

import unittest
from datetime import timedelta

from lockgate_sdk import Failure, Permanent, Transient, http, testing


def answer(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> http.Response:
    return testing.answer(status, body, headers=headers or {})


class Answers(unittest.TestCase):
    def test_statuses_are_sorted_into_what_may_pass_and_what_will_not(self) -> None:
        for status in [408, 425, 429, 500, 502, 503, 504, 599]:
            self.assertTrue(answer(status).failure().is_transient, status)
        for status in [301, 304, 400, 401, 403, 404, 409, 410, 413, 415, 422, 600]:
            self.assertFalse(answer(status).failure().is_transient, status)
        self.assertEqual(answer(404).failure().code, "http-404")
        self.assertEqual(answer(204).success(), answer(204))
        with self.assertRaises(Permanent):
            answer(404).success()

    def test_retry_after_is_read_in_seconds_and_relative_to_the_answers_date(self) -> None:
        until = {"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}
        for headers, seconds in [
            ({}, None),
            ({"Retry-After": "120"}, 120),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": "-1"}, None),
            ({"Retry-After": "²"}, None),
            ({"Retry-After": "1.5"}, None),
            (until, None),
            ({**until, "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30),
            ({**until, "Date": "Wed, 21 Oct 2015 07:29:00 GMT"}, 0),
            ({**until, "Date": "Wednesday, 21-Oct-15 07:28:00 GMT"}, 30),
            ({**until, "Date": "Wed Oct 21 07:28:00 2015"}, 30),
            ({**until, "Date": "Wed, 99 Oct 2015 99:28:00 GMT"}, 0),
        ]:
            with self.subTest(headers):
                wait = answer(429, headers).retry_after()
                self.assertEqual(wait, None if seconds is None else timedelta(seconds=seconds))
        failure = answer(503, {"retry-after": "2"}).failure()
        assert isinstance(failure, Transient)
        self.assertEqual(failure.retry_after_ms, 2000)
        self.assertIsInstance(answer(404, {"retry-after": "2"}).failure(), Permanent)

    def test_a_wait_longer_than_there_are_numbers_is_the_longest_there_is(self) -> None:
        failure = answer(503, {"retry-after": "9" * 30}).failure()
        assert isinstance(failure, Transient) and failure.retry_after_ms is not None
        self.assertGreater(failure.retry_after_ms, 10**15)
        self.assertEqual(Transient("later", "much", retry_after=float("inf")).retry_after_ms, 2**64 - 1)
        self.assertEqual(Transient("later", "much", retry_after=-3).retry_after_ms, 0)

    def test_an_answer_that_is_no_json_may_pass(self) -> None:
        with self.assertRaises(Failure) as raised:
            answer(200, body=b"<html>maintenance</html>").json()
        self.assertTrue(raised.exception.is_transient)
        self.assertIn("maintenance", raised.exception.detail)

    def test_an_excerpt_never_cuts_a_character(self) -> None:
        self.assertEqual(answer(500, body="😀".encode() * 1000).excerpt(), "😀" * 512)


class Requests(unittest.TestCase):
    def test_what_stands_in_the_way_is_transient_and_what_the_plugin_did_wrong_is_not(self) -> None:
        passing: list[http.Error] = [http.TimedOut(), http.Unreachable("refused"), http.BreakerOpen(), http.RateLimited(), http.CredentialRefused()]
        lasting: list[http.Error] = [http.Denied("no"), http.TooLarge(), http.TooManyRequests()]
        for error in passing + lasting:
            with self.subTest(error):
                run = testing.Host(answers=[error]).run(lambda: http.get("/x").send("target"))
                self.assertIs(run.failure, error)
                self.assertEqual(error.is_transient, error in passing)

    def test_a_request_without_a_scripted_answer_finds_the_target_unreachable(self) -> None:
        run = testing.Host().run(lambda: http.get("/x").send("target"))
        self.assertIsInstance(run.failure, http.Unreachable)
        self.assertEqual((run.requests[0].slot, run.requests[0].request.method), ("target", "GET"))

    def test_a_request_is_built_and_never_changed(self) -> None:
        plain = http.patch("/a")
        full = plain.header("X-A", "1").json({"a": 1}).label("a").timeout(0.25)
        self.assertEqual(plain, http.Request("PATCH", "/a"))
        self.assertEqual(full, http.Request("PATCH", "/a", [("x-a", "1"), ("content-type", "application/json")], b'{"a":1}', "a", 250))

    def test_several_at_once_are_answered_in_order_with_errors_in_their_places(self) -> None:
        answers: list[testing.Answer] = [answer(200), http.TimedOut()]
        run = testing.Host(answers=answers).run(lambda: http.send_all("target", [http.get("/1"), http.get("/2"), http.get("/3")]))
        self.assertEqual([type(one) for one in run.output], [http.Response, http.TimedOut, http.Unreachable])

    def test_the_33rd_request_of_a_call_is_refused(self) -> None:
        run = testing.Host(respond=lambda _slot, _request: answer(200)).run(lambda: [http.get("/").send("t") for _ in range(33)])
        assert run.failure is not None
        self.assertEqual((run.failure.code, len(run.requests)), ("http-too-many-requests", 32))
