"""What a build has to know of a plugin's folder: name and roles of `plugin.toml`, dependencies of `pyproject.toml`, where its module is.

The host checks the manifest; here only what is needed is read of it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .problem import Problem

_SDK = re.compile(r"lockgate[-_.]sdk\b", re.IGNORECASE)
ROLES = ["transformer", "sink", "batch-sink", "source"]


@dataclass(frozen=True)
class Plugin:
    folder: Path
    name: str
    roles: list[str]
    #: The module or package of the plugin, `shop_order` for `shop-order`.
    module: str
    #: The folder it is in.
    root: Path
    #: As pyproject.toml names them, without the SDK.
    dependencies: list[str]
    #: Packages whose modules may be imported by name in a call: `tool.lockgate.modules` of pyproject.toml.
    modules: list[str]


def read(folder: Path) -> Plugin:
    """Raises `Problem`."""
    manifest = _toml(folder / "plugin.toml")
    name, roles = manifest.get("name"), manifest.get("roles")
    if not isinstance(name, str):
        raise Problem("`name` is missing", "plugin.toml", fix='name = "shop-order"')
    if not isinstance(roles, list) or not roles or not all(role in ROLES for role in roles):
        raise Problem("`roles` names no role", "plugin.toml", fix=f"roles = [\"sink\"]; there are {', '.join(ROLES)}")
    module = name.replace("-", "_")
    for root in (folder / "src", folder):
        if (root / f"{module}.py").is_file() or (root / module / "__init__.py").is_file():
            project = _toml(folder / "pyproject.toml") if (folder / "pyproject.toml").is_file() else {}
            dependencies = sorted(one for one in _texts(project, "project", "dependencies") if not _SDK.match(one))
            return Plugin(folder, name, roles, module, root, dependencies, sorted(_texts(project, "tool", "lockgate", "modules")))
    raise Problem(f"no module `{module}`", fix=f"write the plugin into {module}.py or {module}/__init__.py, beside plugin.toml or in src/")


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Problem(f"cannot be read: {error.strerror}", path.name) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Problem(str(error), path.name) from None


def _texts(value: Any, *path: str) -> list[str]:
    """The list of texts at `path`; none if there is nothing."""
    for step in path:
        value = value.get(step, {}) if isinstance(value, dict) else {}
    if value == {}:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Problem(f"`{'.'.join(path)}` is no list of texts", "pyproject.toml")
    return value
