#!/usr/bin/env python3
"""What becomes of orders that were acknowledged, when the program that acknowledged them dies, or its target is away.

    fate.py kill   …   the program is killed (SIGKILL) right after so many acknowledgements; whoever called this starts it again
    fate.py outage …   nobody listens at the target while the orders are sent, and for some seconds more

Prints one line of JSON. Its target takes its time for each order, as real ones do, so that some are always on their way. Standard library
only; how fast anything is, `lockgate bench load` measures.
"""

import argparse
import hashlib
import hmac
import http.client
import http.server
import itertools
import json
import os
import re
import signal
import socket
import threading
import time
import urllib.parse

BODY = (
    '{"number":"LGF-%010d","placed_at":"2026-03-14T09:26:53+01:00","channel":"web","customer":{"id":%d,"name":"Zoe van Dijk",'
    '"email":"zoe@canal.example"},"currency":"EUR","total":64.85,"lines":[{"sku":"LAMP-BRASS","quantity":2,"price":29.95},'
    '{"sku":"SHIPPING","quantity":1,"price":4.95}],"note":null}'
)
MAPPED = {"issued_on": "2026-03-14", "currency": "EUR", "amount_minor": 6485}
# Every order is of a customer of its own, so that none waits for another's.
FIRST_CUSTOMER = 7_300_000_000
# An order that was not answered within this is given up, as a web shop does.
ANSWER_WITHIN_S = 10
# How long the last orders may take once the target is there (again).
PATIENCE_S = 120


class Target:
    """Counts what arrives. A request that repeats an Idempotency-Key has no second effect, and is counted apart."""

    def __init__(self, address, takes_s):
        self.address, self.takes_s = address, takes_s
        self.lock = threading.Lock()
        self.arrived, self.keys = {}, set()
        self.repeated = self.wrong = 0

    def listen(self):
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                target.take(body, self.headers["Idempotency-Key"])
                time.sleep(target.takes_s)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

            def handle(self):
                try:
                    super().handle()
                except OSError:
                    pass  # Whoever sent was killed.

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 1024
            daemon_threads = True

        server = Server(self.address, Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def take(self, body, key):
        number = int(re.search(rb"LGF-(\d{10})", body)[1])
        wanted = {"reference": f"LGF-{number:010}", "debtor": str(FIRST_CUSTOMER + number), **MAPPED}
        with self.lock:
            self.wrong += json.loads(body) != wanted
            if key and key in self.keys:
                self.repeated += 1
                return
            self.keys.add(key)
            self.arrived[number] = self.arrived.get(number, 0) + 1


class Sender:
    """Sends numbered orders over connections that are kept, each once: what is not acknowledged is not sent again."""

    def __init__(self, arguments):
        self.url = urllib.parse.urlsplit(arguments.url)
        self.secret = arguments.secret.encode()
        self.orders, self.connections = arguments.orders, arguments.connections
        self.stop_after, self.pid = arguments.after, arguments.pid
        self.numbers = itertools.count()
        self.lock = threading.Lock()
        self.acknowledged, self.refused, self.unanswered = set(), 0, 0
        self.killed = threading.Event()

    def run(self):
        threads = [threading.Thread(target=self.connection) for _ in range(self.connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def connection(self):
        link = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=ANSWER_WITHIN_S)
        while not self.killed.is_set():
            with self.lock:
                number = next(self.numbers)
            if number >= self.orders:
                return
            body = (BODY % (number, FIRST_CUSTOMER + number)).encode()
            signature = hmac.new(self.secret, body, hashlib.sha256).hexdigest()
            try:
                link.request("POST", self.url.path, body, {"Content-Type": "application/json", "X-Signature": signature})
                answer = link.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                link.close()
                with self.lock:
                    self.unanswered += 1
            else:
                self.note(number, answer.status)

    def note(self, number, status):
        with self.lock:
            if not 200 <= status < 300:
                self.refused += 1
                return
            self.acknowledged.add(number)
            if self.pid and len(self.acknowledged) == self.stop_after:
                os.kill(self.pid, signal.SIGKILL)
                self.killed.set()


def wait_until(condition, within_s):
    until = time.monotonic() + within_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)
    return condition()


def listens(address):
    try:
        socket.create_connection(address, 1).close()
        return True
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fate", choices=["kill", "outage"])
    parser.add_argument("--url", required=True, help="where orders are sent")
    parser.add_argument("--target", required=True, help="HOST:PORT to receive invoices on")
    parser.add_argument("--secret", required=True, help="what orders are signed with")
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--takes-ms", type=int, default=100, help="how long the target takes for an order")
    parser.add_argument("--pid", type=int, help="kill: the process")
    parser.add_argument("--after", type=int, default=500, help="kill: after so many acknowledgements")
    parser.add_argument("--away-s", type=float, default=10, help="outage: how long after the first order the target comes up")
    arguments = parser.parse_args()

    host, port = arguments.target.rsplit(":", 1)
    target, sender = Target((host, int(port)), arguments.takes_ms / 1000), Sender(arguments)
    if arguments.fate == "kill":
        target.listen()
        sender.run()
        wait_until(lambda: listens((sender.url.hostname, sender.url.port)), PATIENCE_S)
    else:
        back = threading.Timer(arguments.away_s, target.listen)
        back.start()
        sender.run()
        back.join()
    wait_until(lambda: not sender.acknowledged - target.arrived.keys(), PATIENCE_S)
    print(
        json.dumps(
            {
                "acknowledged": len(sender.acknowledged),
                "refused": sender.refused,
                "unanswered": sender.unanswered,
                "lost": len(sender.acknowledged - target.arrived.keys()),
                "doubled": sum(times > 1 for times in target.arrived.values()),
                "repeated": target.repeated,
                "wrong": target.wrong,
            }
        )
    )


if __name__ == "__main__":
    main()
