"""Runs `componentize-py` over a stage, and makes readable what it says.

Owns its version. Depends on nothing but the stage.
"""

from __future__ import annotations

import importlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any

from .problem import Problem
from .stage import MAIN, MARK, Stage

#: The only version this is made for: what it generates is what `lockgate_sdk.component` is written against.
VERSION = "0.25.1"
#: The Python inside a component of that version.
PYTHON = "3.14"


def componentize(stage: Stage, out: Path) -> None:
    """Raises `Problem`."""
    found = _installed()
    if found != VERSION:
        raise Problem(f"componentize-py {VERSION} is needed, and {found or 'none'} is installed", fix=f"pip install componentize-py=={VERSION}")
    # Not installed where no component is made in this way, and without type hints where it is.
    componentize_py: Any = importlib.import_module("componentize_py")

    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        componentize_py.componentize(
            wit_path=stage.wit,
            worlds=[stage.world],
            features=[],
            all_features=False,
            world_module="wit_world",
            python_path=[str(stage.app)],
            module_worlds=[],
            app_name=MAIN,
            output_path=out,
            stub_wasi=False,
            import_interface_names=[],
            export_interface_names=[],
            full_names=False,
            intersect_world=None,
        )
    except AssertionError as error:
        raise _problem(str(error)) from None


def _installed() -> str | None:
    try:
        return metadata.version("componentize-py")
    except metadata.PackageNotFoundError:
        return None


def _problem(said: str) -> Problem:
    """What the plugin said when it was started, or what the tool said before it came so far."""
    line = next((line for line in said.splitlines() if line.startswith(MARK)), None)
    if line is None:
        return Problem("componentize-py ends without a component", traceback=said.partition("\nStack backtrace:")[0])
    return Problem(**json.loads(line.removeprefix(MARK)))
