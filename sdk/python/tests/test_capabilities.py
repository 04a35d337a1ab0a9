"""Configuration, the map, channels, the log: against the host made for tests."""

import logging
import sys
import unittest
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from lockgate_sdk import Draft, Failure, Permanent, config, key_value, log, queue, testing
from lockgate_sdk.log import Level


class Configuration(unittest.TestCase):
    def test_a_configuration_that_does_not_fit_is_a_permanent_failure_that_names_the_field(self) -> None:
        @dataclass
        class Retry:
            most: int

        @dataclass
        class Settings:
            stage: str
            api_path: str = "/v1"
            mode: Literal["create", "update"] = "create"
            retries: list[Retry] = field(default_factory=list)

        cases: list[tuple[dict[str, Any], str]] = [
            ({}, "/stage is missing"),
            ({"stage": 1}, "/stage should be text, and is a number"),
            ({"stage": "a", "stge": "b"}, "/stge is not known; there is api-path, api_path, mode, retries, stage"),
            ({"stage": "a", "mode": "delete"}, "/mode should be one of 'create', 'update', and is text"),
            ({"stage": "a", "retries": [{"most": True}]}, "/retries/0/most should be a whole number, and is true or false"),
        ]
        for given, where in cases:
            with self.subTest(given):
                failure = testing.Host(config=given).run(lambda: config(Settings)).failure
                assert failure is not None
                self.assertEqual((failure.code, failure.is_transient), ("config-invalid", False))
                self.assertIn(where, failure.detail)
        good = {"stage": "a", "api-path": "/v2", "retries": [{"most": 3}]}
        self.assertEqual(testing.Host(config=good).run(lambda: config(Settings)).output, Settings("a", "/v2", "create", [Retry(3)]))
        self.assertEqual(testing.Host(config=good).run(config).output, good)

    def test_outside_of_a_call_there_is_no_host(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "testing.Host.run"):
            config()


class TheMap(unittest.TestCase):
    def test_it_refuses_what_the_host_refuses(self) -> None:
        def refused() -> None:
            cases: list[tuple[Callable[[], object], type[Exception]]] = [
                (lambda: key_value.set("", b"v"), key_value.InvalidKey),
                (lambda: key_value.get("k" * 513), key_value.InvalidKey),
                (lambda: key_value.get("ü" * 257), key_value.InvalidKey),
                (lambda: key_value.delete("a\0b"), key_value.InvalidKey),
                (lambda: key_value.set("k", bytes(1024 * 1024 + 1)), key_value.ValueTooLarge),
                (lambda: key_value.increment("word"), key_value.NotANumber),
                (lambda: key_value.increment("most"), key_value.NotANumber),
                (lambda: key_value.increment("n", 2**63), key_value.NotANumber),
            ]
            for call, error in cases:
                with self.assertRaises(error) as raised:
                    call()
                self.assertIsInstance(raised.exception, Permanent)

        testing.Host(key_values={"word": b"x", "most": b"9223372036854775807"}).run(refused).output

    def test_it_counts_swaps_and_pages(self) -> None:
        def used() -> None:
            self.assertEqual((key_value.increment("n", 2), key_value.increment("n", -3)), (2, -1))
            self.assertFalse(key_value.compare_and_swap("a/1", "x", "y"))
            self.assertTrue(key_value.compare_and_swap("a/1", None, "y"))
            key_value.set("a/2", "z", ttl=1)
            self.assertEqual(key_value.list("a/", limit=1), key_value.KeyPage(["a/1"], "a/1"))
            self.assertEqual(key_value.list("a/", cursor="a/1", limit=1), key_value.KeyPage(["a/2"], None))
            key_value.delete("a/2")

        run = testing.Host().run(used)
        self.assertIsNone(run.failure)
        self.assertEqual(run.key_values, {"n": b"-1", "a/1": b"y"})


class Channels(unittest.TestCase):
    def test_what_is_sent_is_recorded_with_its_options(self) -> None:
        run = testing.Host().run(lambda: queue.send("audit", Draft("text/plain", b"hi"), delay=1.5, dedup_token="t"))
        self.assertEqual((run.queued[0].channel, run.queued[0].draft.body), ("audit", b"hi"))
        self.assertEqual(run.queued[0].options, queue.Options(1500, "t"))

    def test_too_much_is_refused(self) -> None:
        large = Draft("text/plain", bytes(4 * 1024 * 1024 + 1))
        self.assertIsInstance(testing.Host().run(lambda: queue.send("audit", large)).failure, queue.TooLarge)

        def many() -> None:
            for _ in range(1001):
                queue.send("audit", Draft.text("hi"))

        run = testing.Host().run(many)
        self.assertIsInstance(run.failure, queue.TooMany)
        self.assertEqual(len(run.queued), 1000)


class TheLog(unittest.TestCase):
    def test_lines_have_levels_and_fields(self) -> None:
        def logged() -> None:
            log.warn("3 left")
            log.info("sent", order="#1001", lines=2)

        run = testing.Host().run(logged)
        self.assertEqual(run.lines, [testing.Line(Level.WARN, "3 left"), testing.Line(Level.INFO, "sent", [("order", "#1001"), ("lines", "2")])])

    def test_what_is_printed_is_a_line_where_one_ends(self) -> None:
        def printing() -> None:
            print("a", 1)
            print("two\nlines")
            print("warned", file=sys.stderr)
            print("no end", end="")

        lines = [(line.level, line.text) for line in testing.Host().run(printing).lines]
        self.assertEqual(lines, [(Level.INFO, "a 1"), (Level.INFO, "two"), (Level.INFO, "lines"), (Level.WARN, "warned"), (Level.INFO, "no end")])

    def test_records_of_logging_are_lines_at_their_levels(self) -> None:
        def logged() -> None:
            logger = logging.getLogger("crm")
            logger.debug("not asked for")
            logger.info("%d sent", 3)
            logger.error("lost")

        handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
        lines = testing.Host().run(logged).lines
        self.assertEqual([(line.level, line.text) for line in lines], [(Level.INFO, "3 sent"), (Level.ERROR, "lost")])
        self.assertEqual(lines[0].fields, [("logger", "crm")])
        self.assertEqual((logging.getLogger().handlers, logging.getLogger().level), (handlers, level))


class Failures(unittest.TestCase):
    def test_a_failure_is_one_or_the_other(self) -> None:
        with self.assertRaises(TypeError):
            Failure("code", "detail")
