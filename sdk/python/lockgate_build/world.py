"""The world a plugin is built for: its roles, and no import that it does not use.

`componentize-py` links every import of the world. The worlds of the WIT package are offers to authors and larger than most plugins.
"""

from __future__ import annotations

from collections.abc import Iterable

#: Only types, and linked wherever a role is.
NAME = "plugin"
PACKAGE = "lockgate:plugin"


def text(version: str, roles: Iterable[str], asks: Iterable[str]) -> str:
    """The WIT of a package with one world. `log` is always in it: what a plugin prints goes there.

    >>> print(text("0.1.0", ["transformer"], ["config"]))
    package lockgate:build;
    <BLANKLINE>
    world plugin {
        import lockgate:plugin/config@0.1.0;
        import lockgate:plugin/log@0.1.0;
        export lockgate:plugin/transformer@0.1.0;
    }
    <BLANKLINE>
    """
    imports = sorted({ask.replace("_", "-") for ask in asks} | {"log"})
    lines = [f"    import {PACKAGE}/{name}@{version};" for name in imports]
    lines += [f"    export {PACKAGE}/{role}@{version};" for role in sorted(roles)]
    return "package lockgate:build;\n\nworld " + NAME + " {\n" + "\n".join(lines) + "\n}\n"
