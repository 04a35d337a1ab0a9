"""The rules of `{{name}}`, failure cases first: through the same entry point that the host calls."""

import unittest

from {{module}} import poll

from lockgate_sdk import testing


def run(cursor: str | None, answer: testing.Answer) -> testing.Run:
    return testing.Host(answers=[answer]).run(poll, cursor)


class Rules(unittest.TestCase):
    def test_a_shop_that_is_down_is_asked_again_from_the_same_place(self) -> None:
        failure = run("41", testing.answer(503, "busy")).failure
        assert failure is not None
        self.assertTrue(failure.is_transient)

    def test_an_order_without_its_change_is_a_failure_that_names_the_field(self) -> None:
        failure = run(None, testing.answer(200, [{"number": "A-1001"}])).failure
        assert failure is not None
        self.assertIn("/change", failure.detail)

    def test_an_empty_page_leaves_the_cursor_where_it_is(self) -> None:
        page = run("41", testing.answer(200, [])).page
        self.assertEqual((page.cursor, list(page.items), page.more), ("41", [], False))

    def test_the_next_poll_starts_behind_the_last_change(self) -> None:
        done = run(None, testing.answer(200, [{"number": "A-1001", "change": 41}, {"number": "A-1002", "change": 42}]))
        self.assertEqual(done.page.cursor, "42")
        first = list(done.page.items)[0]
        self.assertEqual((first.id, first.key), ("41", "A-1001"))
        self.assertEqual(done.requests[0].request.path, "/orders?after=0&limit=100")
