"""The rules of `hello`, failure cases first: through the same entry point that the host calls."""

import unittest

from hello import deliver

from lockgate_sdk import testing


def run(body: str) -> testing.Run:
    return testing.Host(config={"greeting": "Good morning"}).run(deliver, testing.message(body))


class Rules(unittest.TestCase):
    def test_a_message_without_a_name_is_a_dead_letter_that_names_the_field(self) -> None:
        failure = run("{}").failure
        assert failure is not None
        self.assertFalse(failure.is_transient)
        self.assertIn("/name", failure.detail)

    def test_a_message_that_is_no_json_is_a_dead_letter(self) -> None:
        failure = run("<name/>").failure
        assert failure is not None
        self.assertEqual(failure.code, "body-invalid")

    def test_whoever_a_message_names_is_greeted(self) -> None:
        done = run('{"name": "Ada"}')
        self.assertIsNone(done.failure)
        self.assertEqual(done.lines[0].text, "Good morning, Ada!")
