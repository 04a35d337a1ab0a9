"""What a build finds in a plugin's source before it runs any of it, and the folder it makes of it."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from lockgate_build import manifest, scan, stage, world
from lockgate_build.problem import Problem

SDK = Path(__file__).parent.parent
EXAMPLES = SDK / "examples"
WIT = SDK.parent.parent / "wit" / "lockgate-plugin-0.1.0"


class Folder(unittest.TestCase):
    """A plugin's folder, made of texts."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve() / "orders"
        self.write("plugin.toml", 'name = "orders"\nroles = ["transformer"]\n')
        self.write("orders.py", "")

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def scanned(self, files: dict[str, str]) -> scan.Reached:
        for name, text in files.items():
            self.write(f"{name}.py", text)
        return scan.scan("orders", [self.folder], self.folder)


class SettingUp(Folder):
    def test_a_plugin_has_a_setup_where_a_function_is_decorated_with_it(self) -> None:
        for text, has_setup in [
            ("from lockgate_sdk import setup\n@setup\ndef read(): pass\n", True),
            ("from lockgate_sdk import setup as prepare\n@prepare\ndef read(): pass\n", True),
            ("import lockgate_sdk as sdk\n@sdk.setup\ndef read(): pass\n", True),
            ("from lockgate_sdk import setup\ndef read(): pass\n", False),
            ("def setup(function): return function\n@setup\ndef read(): pass\n", False),
        ]:
            with self.subTest(text):
                self.assertEqual(self.scanned({"orders": text}).has_setup, has_setup)

    def test_the_world_of_a_plugin_with_a_setup_exports_it(self) -> None:
        text = "from lockgate_sdk import setup, transformer\n@setup\ndef read(): pass\n@transformer\ndef t(m, c): return []\n"
        reached = self.scanned({"orders": text})
        made = stage.make(self.folder.parent / "stage", manifest.read(self.folder), reached, None, WIT)
        self.assertIn("export lockgate:plugin/setup@0.1.0;", (made.wit[-1] / "world.wit").read_text())


class Asking(Folder):
    def test_a_plugin_asks_for_what_it_imports_and_nothing_else(self) -> None:
        for text, asks in [
            ("import lockgate_sdk", {}),
            ("from lockgate_sdk import Draft, log, transformer", {}),
            ("from lockgate_sdk import http", {"http": "orders.py:1"}),
            ("import lockgate_sdk.key_value", {"key_value": "orders.py:1"}),
            ("from lockgate_sdk.queue import send", {"queue": "orders.py:1"}),
            ("from lockgate_sdk import config", {"config": "orders.py:1"}),
            ("import lockgate_sdk as sdk\n\nsdk.http.get('/')", {"http": "orders.py:3"}),
            ("import lockgate_sdk.log\nlockgate_sdk.config()", {"config": "orders.py:2"}),
            ("from lockgate_sdk import *", {name: "orders.py:1" for name in ("http", "key_value", "queue", "config")}),
            ("def late():\n    from lockgate_sdk import http", {"http": "orders.py:2"}),
            ("# from lockgate_sdk import http\n'lockgate_sdk.http'", {}),
            ("from other import http", {}),
        ]:
            with self.subTest(text):
                self.assertEqual(self.scanned({"orders": text}).asks, asks)

    def test_what_is_for_type_checkers_alone_asks_for_nothing(self) -> None:
        text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lockgate_sdk import http\nelse:\n    from lockgate_sdk import queue\n"
        self.assertEqual(self.scanned({"orders": text}).asks, {"queue": "orders.py:5"})

    def test_modules_are_followed_and_what_nobody_imports_is_not_read(self) -> None:
        (self.folder / "orders.py").unlink()
        reached = self.scanned(
            {
                "orders/__init__": "from .crm import post\nfrom shared import helper",
                "orders/crm": "from .. import shared\nfrom . import deep\nfrom lockgate_sdk import http",
                "orders/deep": "import json",
                "orders/unused": "from lockgate_sdk import queue",
                "shared": "from lockgate_sdk import key_value",
            }
        )
        self.assertEqual(sorted(reached.files), ["orders", "orders.crm", "orders.deep", "shared"])
        self.assertEqual(reached.asks, {"http": "orders/crm.py:3", "key_value": "shared.py:1"})

    def test_modules_imported_inside_functions_are_noted(self) -> None:
        reached = self.scanned({"orders": "import json\ndef read():\n    import csv\n    from xml.dom import minidom\n    return lambda: csv"})
        self.assertEqual(reached.late, {"csv", "xml.dom", "xml.dom.minidom"})

    def test_what_is_not_python_is_told_with_file_line_and_text(self) -> None:
        with self.assertRaises(Problem) as raised:
            self.scanned({"orders": "import lines", "lines": "x = 1\ndef read(:\n    pass\n"})
        problem = raised.exception
        self.assertEqual((problem.file, problem.line, problem.text), ("lines.py", 2, "def read(:\n"))
        self.assertIn("SyntaxError: ", problem.message)

    def test_the_world_has_the_roles_and_what_is_asked_for(self) -> None:
        text = world.text("0.1.0", ["sink", "batch-sink"], ["key_value", "http"])
        lines = [line.strip() for line in text.splitlines() if "/" in line]
        wanted = ["import lockgate:plugin/http@0.1.0;", "import lockgate:plugin/key-value@0.1.0;", "import lockgate:plugin/log@0.1.0;"]
        self.assertEqual(lines, [*wanted, "export lockgate:plugin/batch-sink@0.1.0;", "export lockgate:plugin/sink@0.1.0;"])


class Reading(Folder):
    def problem(self) -> Problem:
        with self.assertRaises(Problem) as raised:
            manifest.read(self.folder)
        return raised.exception

    def test_a_folder_that_is_no_plugin_is_told_with_what_to_write(self) -> None:
        self.write("plugin.toml", 'name = "orders"\nroles = ["snik"]\n')
        self.assertIn("transformer, sink, batch-sink, source", str(self.problem()))
        self.write("plugin.toml", 'name = "order-lines"\nroles = ["sink"]\n')
        self.assertIn("write the plugin into order_lines.py or order_lines/__init__.py", str(self.problem()))
        self.write("plugin.toml", "name = \n")
        self.assertEqual(self.problem().file, "plugin.toml")
        (self.folder / "plugin.toml").unlink()
        self.assertIn("plugin.toml: cannot be read", str(self.problem()))

    def test_the_module_may_be_a_file_a_package_or_in_src(self) -> None:
        self.assertEqual(manifest.read(self.folder).root, self.folder)
        self.write("src/orders/__init__.py", "")
        self.assertEqual(manifest.read(self.folder).root, self.folder / "src")

    def test_dependencies_are_those_of_the_project_without_the_sdk(self) -> None:
        self.write("pyproject.toml", '[project]\nname = "orders"\ndependencies = ["tzdata==2026.1", "lockgate-sdk", "Lockgate_SDK>=0.1"]\n')
        self.assertEqual(manifest.read(self.folder).dependencies, ["tzdata==2026.1"])

    def test_modules_to_be_imported_in_a_call_are_named_in_the_project(self) -> None:
        self.assertEqual(manifest.read(self.folder).modules, [])
        self.write("pyproject.toml", '[tool.lockgate]\nmodules = ["phonenumbers.data"]\n')
        self.assertEqual(manifest.read(self.folder).modules, ["phonenumbers.data"])
        self.write("pyproject.toml", '[tool.lockgate]\nmodules = "phonenumbers"\n')
        self.assertIn("`tool.lockgate.modules` is no list of texts", str(self.problem()))


class Staging(Folder):
    def staged(self) -> dict[str, bytes]:
        plugin = manifest.read(self.folder)
        reached = scan.scan(plugin.module, [plugin.root], self.folder)
        made = stage.make(self.folder.parent / "stage", plugin, reached, None, WIT)
        files = sorted(path for path in made.app.parent.rglob("*") if path.is_file())
        self.assertEqual({path.stat().st_mtime for path in files}, {315_532_800})
        return {path.relative_to(made.app.parent).as_posix(): path.read_bytes() for path in files}

    def test_a_stage_follows_from_the_source_alone(self) -> None:
        first = self.staged()
        self.write("__pycache__/orders.cpython-311.pyc", "cached")
        self.write("tests/test_orders.py", "import orders")
        self.assertEqual(self.staged(), first)
        self.assertIn("app/orders.py", first)
        self.assertIn("app/lockgate_sdk/component.py", first)
        self.assertNotIn("app/lockgate_sdk/testing.py", first)
        self.assertIn(b"export lockgate:plugin/transformer@0.1.0;", first["world/world.wit"])

    def test_files_beside_a_packages_modules_are_there(self) -> None:
        (self.folder / "orders.py").unlink()
        self.write("orders/__init__.py", "")
        self.write("orders/countries.csv", "DE,Germany")
        self.assertIn("app/orders/countries.csv", self.staged())

    def test_native_code_is_refused(self) -> None:
        (self.folder / "orders.py").unlink()
        self.write("orders/__init__.py", "")
        self.write("orders/fast.so", "")
        with self.assertRaisesRegex(Problem, "fast.so is native code"):
            self.staged()


class Running(Folder):
    def build(self, *more: str) -> tuple[int, list[dict[str, object]], str]:
        command = [sys.executable, "-m", "lockgate_build", str(self.folder), "--wit", str(WIT), "--stage", str(self.folder / ".stage"), *more]
        done = subprocess.run(command, cwd=SDK, capture_output=True, text=True, check=False)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], done.stderr

    def test_a_problem_is_a_line_of_json_or_words(self) -> None:
        self.write("orders.py", "def read(:\n")
        code, events, _ = self.build()
        self.assertEqual((code, [list(event) for event in events]), (1, [["problem"]]))
        problem = events[0]["problem"]
        assert isinstance(problem, dict)
        self.assertEqual((problem["file"], problem["line"], problem["text"]), ("orders.py", 1, "def read(:\n"))
        _, _, said = self.build("--for-people")
        self.assertIn("orders.py:1:", said)
        self.assertIn("    def read(:", said)

    def test_a_dependency_without_an_exact_version_is_refused(self) -> None:
        self.write("pyproject.toml", '[project]\nname = "orders"\ndependencies = ["phonenumbers>=8"]\n')
        _, _, said = self.build("--for-people")
        self.assertIn("`phonenumbers>=8` names no exact version", said)
        self.assertIn("fix: name one version", said)

    def test_a_stage_is_told_with_where_everything_is(self) -> None:
        self.write("orders.py", "from lockgate_sdk import http")
        code, events, said = self.build()
        self.assertEqual((code, said), (0, ""))
        self.assertEqual(events[0], {"asks": {"http": "orders.py:1"}})
        self.assertEqual(sorted(events[-1]), ["app", "main", "world", "worlds"])


if __name__ == "__main__":
    unittest.main()
