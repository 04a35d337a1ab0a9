"""The Python blocks of the pages for authors, run; their tests, too."""

import types
import unittest
from pathlib import Path

SDK = Path(__file__).parent.parent
PAGES = [SDK.parent.parent / "docs" / "plugins-python.md", SDK / "README.md"]


def blocks(page: Path) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    inside: list[str] | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("```") and inside is None:
            inside = []
            wanted, start = line == "```python", number
        elif line == "```" and inside is not None:
            if wanted:
                found.append((start, "\n" * start + "\n".join(inside)))
            inside = None
        elif inside is not None:
            inside.append(line)
    return found


class Pages(unittest.TestCase):
    def test_every_python_block_runs(self) -> None:
        for page in PAGES:
            shown = blocks(page)
            self.assertTrue(shown, f"{page.name} shows no Python")
            for line, text in shown:
                with self.subTest(f"{page.name}:{line}"):
                    module = types.ModuleType("shown")
                    exec(compile(text, str(page), "exec"), module.__dict__)
                    tests = unittest.defaultTestLoader.loadTestsFromModule(module)
                    result = unittest.TestResult()
                    tests.run(result)
                    self.assertTrue(result.wasSuccessful(), result)
