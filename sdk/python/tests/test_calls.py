"""A call: what a plugin gives back, and what becomes of an exception that nobody caught."""

import sys
import unittest
from collections.abc import Callable, Iterator
from typing import Any

from lockgate_sdk import (
    Context,
    Draft,
    Failure,
    Item,
    Message,
    Output,
    Page,
    Permanent,
    Receipt,
    Skip,
    Transient,
    attempt,
    batch_sink,
    sink,
    source,
    testing,
    transformer,
)


def run(function: Any, *args: Any) -> testing.Run:
    return testing.Host().run(function, *args)


class Transformers(unittest.TestCase):
    def test_one_draft_several_or_a_skip(self) -> None:
        @transformer
        def transform(message: Message, context: Context) -> Output:
            match message.text():
                case "one":
                    return Draft.text("1")
                case "list":
                    return [Draft.text("1"), Draft.text("2")]
                case "none":
                    return []
                case _:
                    return Skip("test-order", "not sent on")

        bodies = {body: [draft.body for draft in run(transform, testing.message(body)).drafts] for body in ("one", "list", "none")}
        self.assertEqual(bodies, {"one": [b"1"], "list": [b"1", b"2"], "none": []})
        self.assertEqual(run(transform, testing.message("skip")).skip, Skip("test-order", "not sent on"))

    def test_a_generator_fails_like_a_function(self) -> None:
        @transformer
        def transform(message: Message, context: Context) -> Iterator[Draft]:
            yield Draft.text("1")
            raise Transient("later", "not yet")

        failure = run(transform, testing.message("")).failure
        assert failure is not None
        self.assertTrue(failure.is_transient)

    def test_what_is_no_output_is_a_failure_and_never_a_lost_message(self) -> None:
        for given, what in [(None, "NoneType"), ({"a": 1}, "dict"), ("text", "str"), ([Draft.text("1"), None], "NoneType"), (1, "int")]:
            with self.subTest(given):

                @transformer
                def transform(message: Message, context: Context) -> Any:
                    return given  # noqa: B023

                failure = run(transform, testing.message("")).failure
                assert failure is not None
                self.assertEqual((failure.code, failure.is_transient), ("uncaught-exception", False))
                self.assertIn(f"transform gave {what} back, and not a Draft, several, or a Skip", failure.detail)

    def test_async_functions_are_refused_where_they_are_decorated(self) -> None:
        with self.assertRaisesRegex(TypeError, "plain function"):

            @transformer  # type: ignore[type-var]
            async def transform(message: Message, context: Context) -> Output:  # pyright: ignore
                return []


class Uncaught(unittest.TestCase):
    def test_an_exception_is_a_permanent_failure_with_its_text_file_line_and_source(self) -> None:
        def read(order: dict[str, Any]) -> Any:
            return order["customer"]

        @transformer
        def transform(message: Message, context: Context) -> Output:
            return Draft.json(read(message.json()))

        failure = run(transform, testing.message("{}")).failure
        assert failure is not None
        self.assertEqual((failure.code, failure.is_transient), ("uncaught-exception", False))
        first = read.__code__.co_firstlineno
        wanted = rf"^KeyError: 'customer' at tests/test_calls\.py:{first + 1} in read: return order\[\"customer\"\]; from tests/test_calls\.py:{first + 5} in transform$"
        self.assertRegex(failure.detail, wanted)
        self.assertIsInstance(failure.__cause__, KeyError)

    def test_ends_of_the_program_and_endless_recursion_are_failures_too(self) -> None:
        def endless(depth: int) -> int:
            return endless(depth + 1)

        cases: list[tuple[Callable[[], object], str]] = [
            (lambda: sys.exit(3), "SystemExit: 3"),
            (lambda: endless(0), "RecursionError: "),
            (lambda: 1 // 0, "ZeroDivisionError: "),
        ]
        for ending, wanted in cases:
            with self.subTest(wanted):

                @sink
                def deliver(message: Message, context: Context) -> Receipt:
                    ending()  # noqa: B023
                    return Receipt()

                failure = run(deliver, testing.message("")).failure
                assert failure is not None
                self.assertEqual(failure.code, "uncaught-exception")
                self.assertTrue(failure.detail.startswith(wanted), failure.detail)
                self.assertLessEqual(len(failure.detail.encode()), 4096)

    def test_a_failure_that_is_raised_is_the_one_that_is_told(self) -> None:
        @sink
        def deliver(message: Message, context: Context) -> Receipt:
            raise Transient("row-locked", "wait", retry_after=2)

        failure = run(deliver, testing.message("")).failure
        assert isinstance(failure, Transient)
        self.assertEqual((failure.code, failure.retry_after_ms), ("row-locked", 2000))
        with self.assertRaises(Transient):
            run(deliver, testing.message("")).output

    def test_a_long_text_is_cut_between_characters(self) -> None:
        @sink
        def deliver(message: Message, context: Context) -> Receipt:
            raise ValueError("ü" * 5000)

        failure = run(deliver, testing.message("")).failure
        assert failure is not None
        self.assertTrue(4094 <= len(failure.detail.encode()) <= 4096)


class Sinks(unittest.TestCase):
    def test_nothing_given_back_is_a_receipt_with_nothing_known(self) -> None:
        @sink
        def deliver(message: Message, context: Context) -> None:
            assert context.attempt == 2

        self.assertEqual(run(deliver, testing.message(""), Context(attempt=2)).receipt, Receipt())


class Batches(unittest.TestCase):
    def test_each_message_has_its_result(self) -> None:
        def store(message: Message) -> Receipt | Skip:
            if message.json()["id"] == "old":
                return Skip("old", "it is there")
            return Receipt(remote_id=message.json()["id"])

        @batch_sink
        def deliver_batch(messages: list[Message], context: Context) -> list[Receipt | Skip | Failure]:
            return [attempt(store, message) for message in messages]

        results = run(deliver_batch, testing.messages(['{"id": "a"}', "{", '{"id": "old"}'])).results
        self.assertEqual((results[0], results[1].code, results[2]), (Receipt("a"), "body-invalid", Skip("old", "it is there")))

    def test_a_failure_that_is_raised_is_that_of_every_message(self) -> None:
        @batch_sink
        def deliver_batch(messages: list[Message], context: Context) -> list[Receipt]:
            raise Transient("down", "try later")

        self.assertEqual([result.code for result in run(deliver_batch, testing.messages(["1", "2"])).results], ["down", "down"])

    def test_an_exception_is_passed_on_until_the_message_to_blame_is_alone(self) -> None:
        @batch_sink
        def deliver_batch(messages: list[Message], context: Context) -> list[Receipt]:
            return [Receipt(message.json()["id"]) for message in messages]

        with self.assertRaises(KeyError):
            run(deliver_batch, testing.messages(['{"id": "a"}', "{}"]))
        (alone,) = run(deliver_batch, testing.messages(["{}"])).results
        self.assertEqual(alone.code, "uncaught-exception")

    def test_another_number_of_results_is_passed_on(self) -> None:
        @batch_sink
        def deliver_batch(messages: list[Message], context: Context) -> list[Receipt]:
            return []

        with self.assertRaisesRegex(ValueError, "0 results for 2 messages"):
            run(deliver_batch, testing.messages(["1", "2"]))


class Sources(unittest.TestCase):
    def test_a_poll_gives_a_page_or_fails(self) -> None:
        @source
        def poll(cursor: str | None) -> Page:
            if cursor == "bad":
                raise Permanent("cursor-invalid", "start again")
            return Page([Item("41", Draft.text("x"), key="7")], cursor or "41", more=True)

        self.assertEqual(run(poll).page.cursor, "41")
        self.assertEqual(run(poll, "50").page.cursor, "50")
        failure = run(poll, "bad").failure
        assert failure is not None
        self.assertEqual(failure.code, "cursor-invalid")
