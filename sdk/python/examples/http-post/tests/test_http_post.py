"""The rules of `http-post`, failure cases first."""

import unittest
from typing import Any

from http_post import deliver

from lockgate_sdk import Receipt, Transient, http, testing

BODY = "<a>🚢 &amp; 10.00</a>"


def post(config: dict[str, Any], answer: testing.Answer) -> testing.Run:
    message = testing.message(BODY, content_type="application/xml; charset=utf-8")
    return testing.Host(config=config, answers=[answer]).run(deliver, message)


class HttpPost(unittest.TestCase):
    def test_statuses_that_may_pass_are_transient_and_the_rest_is_permanent(self) -> None:
        for status, transient in [(408, True), (425, True), (429, True), (500, True), (503, True), (301, False), (400, False), (404, False), (422, False)]:
            failure = post({}, testing.answer(status, "no")).failure
            assert failure is not None
            self.assertEqual((failure.code, failure.is_transient), (f"http-{status}", transient))

    def test_retry_after_is_honoured(self) -> None:
        failure = post({}, testing.answer(429, headers={"Retry-After": "7"})).failure
        assert isinstance(failure, Transient)
        self.assertEqual(failure.retry_after_ms, 7000)

    def test_no_answer_is_transient_and_a_denied_path_is_not(self) -> None:
        for error, transient in [(http.Unreachable("refused"), True), (http.Denied("path"), False)]:
            failure = post({}, error).failure
            assert failure is not None
            self.assertEqual(failure.is_transient, transient)

    def test_a_configuration_of_another_shape_is_refused(self) -> None:
        configs: list[dict[str, Any]] = [{"pth": "/"}, {"path": 1}]
        for config in configs:
            failure = post(config, testing.answer(200)).failure
            assert failure is not None
            self.assertEqual(failure.code, "config-invalid", config)

    def test_the_body_goes_out_byte_for_byte_with_its_content_type(self) -> None:
        run = post({"path": "/v1/orders?source=lockgate"}, testing.answer(204))
        headers = [("content-type", "application/xml; charset=utf-8")]
        request = http.Request("POST", "/v1/orders?source=lockgate", headers, BODY.encode(), "post")
        self.assertEqual(run.requests, [testing.Sent("target", request)])

    def test_the_receipt_has_location_and_etag(self) -> None:
        run = post({}, testing.answer(201, headers={"ETag": '"v7"', "Location": "/orders/9"}))
        self.assertEqual(run.receipt, Receipt(remote_id="/orders/9", remote_version='"v7"', detail="HTTP 201"))
        self.assertEqual(run.requests[0].request.path, "/")
