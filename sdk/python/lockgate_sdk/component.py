"""What a component exports and imports: the other side of `call` and `host`, over the bindings that `componentize-py` makes.

Exists inside a component only, where the module `wit_world` is. Its classes have the names `componentize-py` looks for. Not for plugins.
"""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
# The bindings differ with the world, and are there only while a component is made.

from __future__ import annotations

import codecs
import importlib.machinery
import linecache
import marshal
import os
import random
import sys
import weakref  # noqa: F401

from componentize_py_types import Err, Ok
from wit_world.imports import types as wit

from . import call, host, log, printing
from .failure import Failure, Transient
from .message import Context, Message
from .role import SETUP, Page, Skip, registered

try:
    from wit_world.imports import config as wit_config
except ImportError:
    wit_config = None
try:
    from wit_world.imports import log as wit_log
except ImportError:
    wit_log = None
try:
    from wit_world.imports import http as wit_http

    from . import http
except ImportError:
    wit_http = None
try:
    from wit_world.imports import key_value as wit_key_value

    from . import key_value
except ImportError:
    wit_key_value = None
try:
    from wit_world.imports import queue as wit_queue

    from . import queue
except ImportError:
    wit_queue = None
try:
    from wit_world.exports import transformer as wit_transformer
except ImportError:
    wit_transformer = None
try:
    from wit_world.exports import source as wit_source
except ImportError:
    wit_source = None


#: Encodings that are there during a call. Python reads them from files when they are first asked for.
_CODECS = ["utf-8-sig", "utf-16", "utf-32", "ascii", "latin-1", "iso8859-2", "iso8859-15", "cp437", "cp850", "cp1250", "cp1252", "idna"]


class Setup:
    def setup(self, _config):
        with _called():
            try:
                call.set_up(_only(SETUP))
            except Failure as failure:
                raise Err(_text(str(failure.detail))) from None
        # What is random in a call is not to follow from what was random here.
        _called.draws_anew = True


class Transformer:
    def transform(self, message, context):
        with _called():
            return _answered(lambda: _output(call.transform(_only("transformer"), _message(message), _context(context))))


class Sink:
    def deliver(self, message, context):
        with _called():
            return _answered(lambda: _delivered(call.deliver(_only("sink"), _message(message), _context(context))))


class BatchSink:
    def deliver_batch(self, messages, context):
        with _called():
            results = call.deliver_batch(_only("batch-sink"), [_message(message) for message in messages], _context(context))
            return [_result(result) for result in results]


class Source:
    def poll(self, cursor):
        with _called():
            return _answered(lambda: _page(call.poll(_only("source"), cursor)))


def _answered(answer):
    """What `answer` gives; its failure, and that of anything in it the contract has no form for, as the contract has failures."""
    try:
        return answer()
    except Failure as failure:
        raise Err(_failure(failure)) from None
    except Exception as error:
        raise Err(_failure(call.uncaught(error))) from None


def _result(result):
    try:
        return Err(_failure(result)) if isinstance(result, Failure) else Ok(_delivered(result))
    except Exception as error:
        return Err(_failure(call.uncaught(error)))


def _only(role):
    return registered[role][0]


class _called:
    """A call: what is printed goes into the log, and what was printed without an end of line is not lost."""

    draws_anew = False

    def __enter__(self):
        if self.draws_anew:
            random.seed()
        self.streams = printing.LogStream(log.Level.INFO), printing.LogStream(log.Level.WARN)
        sys.stdout, sys.stderr = self.streams

    def __exit__(self, *_):
        for stream in self.streams:
            stream.end()


def _message(message):
    headers = [(header.name, header.value) for header in message.headers]
    return Message(message.id, message.key, message.content_type, headers, message.body, message.received_at)


def _context(context):
    return Context(context.attempt, context.replay, context.idempotency_base)


def _output(output):
    if isinstance(output, Skip):
        return wit_transformer.Output_Skip(wit.Skip(_text(output.code), _text(output.detail)))
    return wit_transformer.Output_Drafts([_draft(draft) for draft in output])


def _draft(draft):
    return wit.Draft(
        _text(draft.content_type),
        _headers(draft.headers),
        bytes(draft.body),
        [wit.TrackedValue(_text(name), _text(value)) for name, value in draft.tracked],
    )


def _headers(headers):
    return [wit.Header(_text(name), _text(value)) for name, value in headers]


def _failure(failure):
    code, detail = _text(str(failure.code)), _text(str(failure.detail))
    if isinstance(failure, Transient):
        return wit.Failure_Transient(wit.TransientFailure(code, detail, failure.retry_after_ms))
    return wit.Failure_Permanent(wit.PermanentFailure(code, detail))


def _delivered(result):
    if isinstance(result, Skip):
        return wit.Delivered_Skip(wit.Skip(_text(result.code), _text(result.detail)))
    return wit.Delivered_Receipt(wit.Receipt(_option(result.remote_id), _option(result.remote_version), _option(result.detail)))


def _page(page: Page):
    items = [wit_source.Item(_text(item.id), _option(item.key), _draft(item.draft)) for item in page.items]
    return wit_source.Page(items, _text(page.cursor), bool(page.more))


def _option(text):
    return None if text is None else _text(text)


def _text(text):
    """`text` as the contract has it: half of a surrogate pair would end the call where nobody sees why."""
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no text")
    return text if text.isascii() else text.encode(errors="replace").decode()


class _Imports:
    """The host's functions, by way of the component's imports."""

    def config_get(self):
        return wit_config.get()

    def log_write(self, level, text, fields):
        wit_log.write(wit_log.Level(int(level)), _text(text), [wit_log.Field(_text(name), _text(value)) for name, value in fields])

    def http_send(self, slot, request):
        try:
            return _response(wit_http.send(_text(slot), _request(request)))
        except Err as error:
            return _http_error(error.value)

    def http_send_all(self, slot, requests):
        answers = wit_http.send_all(_text(slot), [_request(request) for request in requests])
        return [_response(answer.value) if isinstance(answer, Ok) else _http_error(answer.value) for answer in answers]

    def key_value_get(self, key):
        return _kv(wit_key_value.get, key)

    def key_value_set(self, key, value, ttl_ms):
        _kv(wit_key_value.set, key, value, ttl_ms)

    def key_value_delete(self, key):
        _kv(wit_key_value.delete, key)

    def key_value_list(self, prefix, cursor, limit):
        page = _kv(wit_key_value.list, prefix, _option(cursor), min(max(limit, 0), 2**32 - 1))
        return key_value.KeyPage(list(page.keys), page.cursor)

    def key_value_compare_and_swap(self, key, expected, value):
        return _kv(wit_key_value.compare_and_swap, key, expected, value)

    def key_value_increment(self, key, delta):
        return _kv(wit_key_value.increment, key, delta)

    def queue_send(self, channel, draft, options):
        options = wit_queue.Options(options.delay_ms, _option(options.dedup_token))
        try:
            wit_queue.send(_text(channel), _draft(draft), options)
        except Err as error:
            raise getattr(queue, type(error.value).__name__.removeprefix("QueueError_"))() from None


def _request(request):
    return wit_http.Request(
        _text(request.method), _text(request.path), _headers(request.headers), request.content, _option(request.name), request.timeout_ms
    )


def _response(response):
    return http.Response(response.status, [(header.name, header.value) for header in response.headers], response.body)


def _http_error(error):
    """The SDK's error of the same name; those with a reason have it as their only argument."""
    error_type = getattr(http, type(error).__name__.removeprefix("HttpError_"))
    if error_type is http.RateLimited:
        return error_type(None if error.value is None else error.value / 1000)
    return error_type(error.value) if hasattr(error, "value") else error_type()


def _kv(function, key, *args):
    try:
        return function(_text(key), *args)
    except Err as error:
        # `kv-error` has no payload anywhere and is an enum in all but name.
        raise getattr(key_value, type(error.value).__name__.removeprefix("KvError_"))() from None


def start(roles, capabilities, kept):
    """The end of a component's start: its roles are there, and what it imports is what the build foresaw."""
    for role in roles:
        functions = registered.get(role, [])
        if len(functions) != 1:
            names = ", ".join(function.__name__ for function in functions)
            found = f"{len(functions)} functions have it: {names}" if functions else "no function has the decorator"
            if role == SETUP:
                raise SystemExit(f"a plugin has one function with @setup, and {found}")
            raise SystemExit(f"plugin.toml says that this is a {role}: one function needs @{role.replace('-', '_')}, and {found}")
    if SETUP in registered and SETUP not in roles:
        raise SystemExit("a function is decorated with @setup where the build did not see it: import setup from lockgate_sdk by its name")
    for role in registered.keys() - set(roles):
        raise SystemExit(f"a function is decorated with @{role.replace('-', '_')}, and roles in plugin.toml do not have {role!r}")
    for capability in ("http", "key_value", "queue"):
        if f"{__package__}.{capability}" in sys.modules and capability not in capabilities:
            raise SystemExit(f"{__package__}.{capability} is imported where the build did not see it: import it by its name at the top of a module")
    for name in _CODECS:
        codecs.lookup(name)
    _say_that_there_are_no_sockets()
    _keep_modules(kept)
    _remember_sources()
    printing.take_over_logging()
    host.enter(_Imports())


def _say_that_there_are_no_sockets():
    """An exception with a reason, where the component would only come to a halt."""
    refused = ("create_connection", "create_server", "socketpair", "getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
    for module in (sys.modules.get("socket"), sys.modules.get("_socket")):
        for name in refused:
            if hasattr(module, name):
                setattr(module, name, _no_sockets)
    if "socket" in sys.modules:
        sys.modules["socket"].socket.__init__ = _no_sockets


def _no_sockets(*_, **__):
    raise OSError("a plugin has no sockets: send requests with lockgate_sdk.http, through a slot")


class _Kept:
    """Finds modules that were kept for later; says of all others that they are not there."""

    def __init__(self):
        self.modules = {}

    def find_spec(self, name, path=None, target=None):
        if name in self.modules:
            file, is_package, _ = self.modules[name]
            return importlib.machinery.ModuleSpec(name, self, origin=file, is_package=is_package)
        raise ModuleNotFoundError(f"No module named {name!r} in this component: import it at the top of a module", name=name)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(marshal.loads(self.modules[module.__name__][2]), module.__dict__)


def _keep_modules(packages):
    """Compiles what a function might import later, of these modules and packages: a component has no files."""
    kept = _Kept()
    root = __file__.removesuffix("/lockgate_sdk/component.py")
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name != "lockgate_sdk" and name.isidentifier())
        for file in sorted(files):
            stem, suffix = os.path.splitext(file)
            is_package = stem == "__init__"
            parts = [part for part in folder.removeprefix(root).split("/") if part] + ([] if is_package else [stem])
            name = ".".join(parts)
            wanted = any(f"{name}.".startswith(f"{package}.") for package in packages)
            if suffix != ".py" or not stem.isidentifier() or not wanted or name in sys.modules:
                continue
            path = f"{folder}/{file}"
            with open(path, "rb") as source:
                text = source.read()
            try:
                kept.modules[name] = path, is_package, marshal.dumps(compile(text, path, "exec", dont_inherit=True))
            except (SyntaxError, ValueError):
                # Of a package, and for another Python; whoever imports it finds nothing.
                continue
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not importlib.machinery.PathFinder] + [kept]


def _remember_sources():
    """Keeps the lines of the plugin's own files, so that a failure can show them: a component has no files."""
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None) or ""
        if name.split("/")[1:2] and name.split("/")[1].isdigit() and name.endswith(".py"):
            with open(name, encoding="utf-8") as file:
                text = file.read()
            # Without a time of change, what is kept is never checked against a file.
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
