"""`python -m lockgate_build FOLDER --wit WIT --stage STAGE`: everything a component of the plugin in FOLDER is made from, in STAGE.

Says what it does line by line on standard output, as JSON: `{"asks": {"http": "crm.py:3"}}`, `{"step": "dependencies"}`, at the end where
everything is, for `lockgate-python-link`, or `{"problem": {…}}`. With `--out FILE` it runs `componentize-py` itself, and says at the end
`{"built": "FILE", "size": 18500000}`. Ends with 0, or 1 for a problem. `--for-people` says the same in words.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import manifest, scan, stage, tool
from .problem import Problem

Tell = Callable[[dict[str, Any]], None]


def main() -> int:
    arguments = _arguments()
    tell: Tell = _in_words if arguments.for_people else lambda event: print(json.dumps(event), flush=True)
    try:
        out = arguments.out and arguments.out.resolve()
        build(arguments.folder.resolve(), arguments.wit.resolve(), arguments.stage.resolve(), out, tell)
    except Problem as problem:
        tell({"problem": {key: value for key, value in dataclasses.asdict(problem).items() if value is not None}})
        return 1
    return 0


def build(folder: Path, wit: Path, work: Path, out: Path | None, tell: Tell) -> None:
    """Raises `Problem`."""
    plugin = manifest.read(folder)
    dependencies = _dependencies(plugin, work / "dependencies", tell)
    roots = [plugin.root] if dependencies is None else [plugin.root, dependencies]
    reached = scan.scan(plugin.module, roots, folder)
    tell({"asks": reached.asks})
    staged = stage.make(work / "stage", plugin, reached, dependencies, wit)
    if out is None:
        worlds = [str(path) for path in staged.wit]
        return tell({"app": str(staged.app), "main": stage.MAIN, "worlds": worlds, "world": staged.world})
    tell({"step": "component"})
    tool.componentize(staged, out)
    tell({"built": str(out), "size": out.stat().st_size})


def _dependencies(plugin: manifest.Plugin, folder: Path, tell: Tell) -> Path | None:
    """Installs what the plugin depends on: packages in pure Python, at exactly the versions that are named, and none that are not: which
    others those would have depends on the day."""
    if not plugin.dependencies:
        return None
    for one in plugin.dependencies:
        if ("==" not in one and " @ " not in one) or "*" in one:
            fix = f"name one version, so that the same source gives the same component: {one.split('>')[0].split('<')[0].split('~')[0].strip()}==…"
            raise Problem(f"the dependency `{one}` names no exact version", "pyproject.toml", fix=fix)
    wanted = folder.with_suffix(".txt")
    text = "\n".join(plugin.dependencies)
    if folder.is_dir() and wanted.is_file() and wanted.read_text(encoding="utf-8") == text:
        return folder
    tell({"step": "dependencies"})
    wanted.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(folder)]
    pip += ["--only-binary=:all:", "--platform=any", f"--python-version={tool.PYTHON}", "--implementation=py", "--abi=none"]
    done = subprocess.run([*pip, *plugin.dependencies], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fix = "a dependency has to be on the package index as a wheel in pure Python (py3-none-any)"
        raise Problem("the dependencies cannot be installed", "pyproject.toml", fix=fix, traceback=done.stderr)
    wanted.write_text(text, encoding="utf-8")
    return folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("lockgate_build", description="Makes a component of a plugin written in Python.")
    parser.add_argument("folder", type=Path, help="the plugin's folder, with its plugin.toml")
    parser.add_argument("--wit", type=Path, required=True, help="the folder of the WIT package lockgate:plugin")
    parser.add_argument("--stage", type=Path, required=True, help="a folder for what is in between; kept, and used again")
    parser.add_argument("--out", type=Path, help="the component, made with componentize-py")
    parser.add_argument("--for-people", action="store_true", help="words instead of JSON")
    return parser.parse_args()


def _in_words(event: dict[str, Any]) -> None:
    if "problem" in event:
        print(Problem(**event["problem"]), file=sys.stderr)
    elif "asks" in event:
        for capability, place in sorted(event["asks"].items()):
            print(f"asks for {capability.replace('_', '-')}: {place}")
    elif "app" not in event:
        print(", ".join(f"{key} {value}" for key, value in event.items()), flush=True)


sys.exit(main())
