"""What a plugin's source says before it is run: the modules it reaches, what it asks of the host, and what it imports late.

Reads the source as a syntax tree and runs none of it. A component imports what its world has, whether it is called or not, so the
world has to be no larger than the plugin; and a component has no files, so that every module has to be there when it starts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .problem import Problem

SDK = "lockgate_sdk"
#: What a plugin asks for by importing the module of this name.
CAPABILITIES = ["http", "key_value", "queue"]
SETUP = "setup"


@dataclass
class Reached:
    """What was found from the plugin's own module on."""

    #: Files by the name of their module.
    files: dict[str, Path] = field(default_factory=dict)
    #: Capabilities, each with a place that asks for it.
    asks: dict[str, str] = field(default_factory=dict)
    #: Modules that are imported inside a function.
    late: set[str] = field(default_factory=set)
    #: A function is decorated with the SDK's `setup`.
    has_setup: bool = False


@dataclass(frozen=True)
class _Import:
    module: str
    line: int
    is_late: bool


def scan(module: str, roots: list[Path], folder: Path) -> Reached:
    """Everything that `module` imports of what is in `roots`, and what of the host it asks for. Places are told relative to `folder`.

    Raises `Problem` for a file that is not Python.
    """
    reached, waiting = Reached(), [module]
    while waiting:
        name = waiting.pop()
        path = _find(name, roots)
        if path is None or name in reached.files:
            continue
        reached.files[name] = path
        if parent := name.rpartition(".")[0]:
            waiting.append(parent)
        shown = _shown(path, folder)
        tree = _parsed(path, shown)
        for one in _imports(tree, name, path.name == "__init__.py"):
            waiting.append(one.module)
            if one.is_late:
                reached.late.add(one.module)
            for capability in _capabilities(one.module):
                reached.asks.setdefault(capability, f"{shown}:{one.line}")
        reached.has_setup = reached.has_setup or _has_setup(tree)
        for capability, line in _attributes(tree):
            reached.asks.setdefault(capability, f"{shown}:{line}")
    return reached


def _find(name: str, roots: list[Path]) -> Path | None:
    parts = name.split(".")
    for root in roots:
        base = root.joinpath(*parts)
        for path in (base / "__init__.py", base.with_name(base.name + ".py")):
            if path.is_file():
                return path
    return None


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else "/".join(path.parts[-2:])


def _parsed(path: Path, shown: str) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=shown)
    except SyntaxError as error:
        raise Problem(f"{type(error).__name__}: {error.msg}", shown, error.lineno, error.offset, error.text) from None
    except ValueError as error:
        raise Problem(f"not Python: {error}", shown) from None


def _imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[_Import]:
    """What is imported, also by `from x import y` where `y` may be a module. What is for type checkers alone is left out."""
    package = module if is_package else module.rpartition(".")[0]

    def walk(node: ast.AST, is_late: bool) -> Iterator[_Import]:
        for child in ast.iter_child_nodes(node):
            late = is_late or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            if isinstance(child, ast.If) and _is_type_checking(child.test):
                for other in child.orelse:
                    yield from walk(ast.Module([other], []), late)
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    yield _Import(alias.name, child.lineno, late)
            elif isinstance(child, ast.ImportFrom):
                base = _base(child, package)
                if not base:
                    # Above the topmost package; Python says so when it gets there.
                    continue
                yield _Import(base, child.lineno, late)
                for alias in child.names:
                    yield _Import(f"{base}.{alias.name}", child.lineno, late)
            else:
                yield from walk(child, late)

    yield from walk(tree, False)


def _base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    above = ".".join(parts[: len(parts) - node.level + 1])
    return f"{above}.{node.module}" if node.module else above


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def _capabilities(module: str) -> list[str]:
    if module == f"{SDK}.*":
        return [*CAPABILITIES, "config"]
    first, _, rest = module.partition(".")
    word = rest.partition(".")[0]
    return [word] if first == SDK and word in [*CAPABILITIES, "config"] else []


def _has_setup(tree: ast.Module) -> bool:
    """Whether something is decorated with what was imported from the SDK as `setup`."""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == SDK and not node.level
        for alias in node.names
        if alias.name == SETUP
    }
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    for decorator in (decorator for function in functions for decorator in function.decorator_list):
        by_name = isinstance(decorator, ast.Name) and decorator.id in imported
        by_module = isinstance(decorator, ast.Attribute) and decorator.attr == SETUP
        if by_name or (by_module and isinstance(decorator.value, ast.Name) and decorator.value.id in _names_of_sdk(tree)):
            return True
    return False


def _attributes(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """`lockgate_sdk.http`, where the SDK was imported under whatever name."""
    names = _names_of_sdk(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            if node.attr in [*CAPABILITIES, "config"]:
                yield node.attr, node.lineno


def _names_of_sdk(tree: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.partition(".")[0] == SDK and (alias.asname is None or alias.name == SDK)
    }
