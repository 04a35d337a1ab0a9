"""The folder a component is made from: the plugin's files, its dependencies, the SDK, the world, and the module that starts it all.

What is in it follows from the source alone: files sorted, times all the same, nothing that Python cached.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import world
from .bare import bare
from .manifest import Plugin
from .problem import Problem
from .scan import SETUP, Reached

#: The module that `componentize-py` starts with.
MAIN = "lockgate_main"
#: Every file and folder is of this time: 1980-01-01T00:00:00Z, the first that every archive can hold.
_TIME = 315_532_800
_SDK = Path(__file__).parent.parent / "lockgate_sdk"
#: What marks the line in which `lockgate_main` says why it could not start.
MARK = "LOCKGATE-BUILD-PROBLEM "
#: What pip writes of the machine and of itself, beside packages.
_OF_PIP = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"}

_MAIN_TEXT = '''import importlib
import json
import sys
import traceback

#: The plugin's own modules, and the folder they are in.
OURS, FOLDER = {ours!r}, {folder!r}
MISSING = ("_ssl", "_ctypes", "_bz2", "_lzma", "_zstd", "_hashlib", "_curses", "_tkinter")


def told(error):
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith("/0/")]
    frames = [frame for frame in frames if not frame.filename.startswith("/0/lockgate_")]
    said = str(error) if isinstance(error, SystemExit) else f"{{type(error).__name__}}: {{error}}".removesuffix(": ")
    problem = {{"message": said, "fix": fix(error)}}
    if isinstance(error, SyntaxError):
        place = {{"file": error.filename, "line": error.lineno, "column": error.offset, "text": error.text}}
        problem.update(place, message=f"{{type(error).__name__}}: {{error.msg}}")
    elif frames:
        problem.update(file=frames[-1].filename, line=frames[-1].lineno, text=frames[-1].line)
    if len(frames) > 1:
        lines = traceback.format_list(frames) + traceback.format_exception_only(error)
        problem["traceback"] = "".join(lines).replace('File "/0/', 'File "')
    if problem.get("file"):
        problem["file"] = shown(problem["file"])
    return {{name: value for name, value in problem.items() if value is not None}}


def shown(file):
    inside = file.removeprefix("/0/")
    return FOLDER + inside if inside.split("/")[0].removesuffix(".py") in OURS else inside


def fix(error):
    if isinstance(error, ModuleNotFoundError):
        if error.name in MISSING:
            return "Python in a component lacks this part of the standard library, and so everything that needs it"
        return "name the package with its exact version in pyproject.toml: [project] dependencies"
    if isinstance(error, RuntimeError) and "testing.Host.run" in str(error):
        return "ask the host inside the decorated function: a module is run once, when the component is built"
    return None


try:
    importlib.import_module({module!r})
    for name in {late!r}:
        try:
            importlib.import_module(name)
        except Exception:
            pass
    from lockgate_sdk.component import *
    from lockgate_sdk.component import start

    start({roles!r}, {asks!r}, {kept!r})
except BaseException as error:
    print({mark!r} + json.dumps(told(error)), file=sys.stderr, flush=True)
    raise SystemExit(1)
'''


@dataclass(frozen=True)
class Stage:
    #: What is put on Python's path.
    app: Path
    #: What is handed over as WIT: the package, and the world made for this plugin.
    wit: list[Path]
    world: str


def make(folder: Path, plugin: Plugin, reached: Reached, dependencies: Path | None, wit: Path) -> Stage:
    """Fills `folder`, which is emptied before. `wit` is the WIT package's folder. Raises `Problem`."""
    shutil.rmtree(folder, ignore_errors=True)
    app, worlds = folder / "app", folder / "world"
    app.mkdir(parents=True)
    worlds.mkdir()
    _copy_plugin(plugin, reached, app)
    if dependencies is not None:
        _copy_folder(dependencies, app, leave=_OF_PIP | {"bin"})
    _copy_folder(_SDK, app / "lockgate_sdk", leave={"testing.py", "py.typed"})
    asks = sorted(reached.asks)
    roles = sorted({*plugin.roles, *([SETUP] if reached.has_setup else [])})
    folder_of_modules = plugin.root.relative_to(plugin.folder).as_posix()
    ours = sorted({name.split(".")[0] for name, path in reached.files.items() if path.is_relative_to(plugin.root)})
    start = _MAIN_TEXT.format(
        ours=ours,
        kept=sorted({*ours, *plugin.modules}),
        folder="" if folder_of_modules == "." else f"{folder_of_modules}/",
        module=plugin.module,
        late=sorted(reached.late),
        roles=roles,
        asks=asks,
        mark=MARK,
    )
    (app / f"{MAIN}.py").write_text(start, encoding="utf-8")
    version = _version(wit)
    (worlds / "world.wit").write_text(world.text(version, roles, asks), encoding="utf-8")
    _same_times(folder)
    return Stage(app, [wit, worlds], f"lockgate:build/{world.NAME}")


def _copy_plugin(plugin: Plugin, reached: Reached, app: Path) -> None:
    """The plugin's package whole, since it may read files beside its modules, and every other module that it reaches."""
    package = plugin.root / plugin.module
    if package.is_dir():
        _copy_folder(package, app / plugin.module)
    for path in sorted(reached.files.values()):
        if path.is_relative_to(plugin.root) and not path.is_relative_to(package):
            _copy_file(path, app / path.relative_to(plugin.root))


def _copy_folder(source: Path, target: Path, leave: frozenset[str] | set[str] = frozenset()) -> None:
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        hidden = any(part == "__pycache__" or part.startswith(".") for part in relative.parts)
        if hidden or path.is_dir() or relative.name in leave or relative.parts[0] in leave:
            continue
        if path.suffix in (".so", ".pyd", ".dylib"):
            raise Problem(f"{relative.as_posix()} is native code, which a component cannot load", fix="depend on packages that are pure Python")
        _copy_file(path, target / relative)


def _copy_file(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".py":
        target.write_bytes(bare(path.read_bytes()))
    else:
        shutil.copyfile(path, target)


def _version(wit: Path) -> str:
    for path in sorted(wit.glob("*.wit")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"package {world.PACKAGE}@"):
                return line.partition("@")[2].strip().rstrip(";")
    raise Problem(f"{wit} holds no package {world.PACKAGE}")


def _same_times(folder: Path) -> None:
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in [*folders, *files]:
            os.utime(Path(parent, name), (_TIME, _TIME))
    os.utime(folder, (_TIME, _TIME))
