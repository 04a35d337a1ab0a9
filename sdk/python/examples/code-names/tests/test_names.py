"""The rules of `code-names`, failure cases first."""

import unittest
from typing import Any

from code_names import read_table, transform

from lockgate_sdk import testing

COUNTRIES = {"field": "country", "names": {"NL": "Nederland"}}


def named(config: dict[str, Any], body: str) -> testing.Run:
    return testing.Host(config=config).run(transform, testing.message(body), setup=read_table)


class CodeNames(unittest.TestCase):
    def test_a_table_that_is_wrong_is_refused_before_anything_is_named(self) -> None:
        configs: list[dict[str, Any]] = [{"field": "country", "names": {}}, {"names": {"NL": "Nederland"}}, {"field": "c", "nmes": {}}]
        for config in configs:
            failure = named(config, "{}").failure
            assert failure is not None
            self.assertEqual(failure.code, "setup-refused", config)

    def test_what_has_no_name_fails_with_its_place(self) -> None:
        for body, code, detail in [
            ('{"country": "XX"}', "code-unknown", "/country is XX, and names has no name for it"),
            ('{"country": null}', "required-field-missing", "/country is null"),
            ("{}", "required-field-missing", "/country is missing"),
            ('{"country": 7}', "field-type-wrong", "/country should be text, and is a number"),
            ("[]", "field-type-wrong", "the document should be an object, and is a list"),
        ]:
            failure = named(COUNTRIES, body).failure
            assert failure is not None
            self.assertEqual((failure.code, failure.detail, failure.is_transient), (code, detail, False), body)

    def test_a_code_becomes_its_name_and_the_rest_stays_as_it_was_written(self) -> None:
        run = named(COUNTRIES, '{"b": 10.00, "country": "NL", "1": 1e2}')
        self.assertEqual(run.drafts[0].body, b'{"b":10.00,"country":"Nederland","1":1e+2}')
        run = named({**COUNTRIES, "unknown": "keep"}, '{"country": "XX"}')
        self.assertEqual(run.drafts[0].body, b'{"country":"XX"}')
