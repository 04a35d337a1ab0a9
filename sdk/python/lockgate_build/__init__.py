"""Makes a component of a plugin written in Python: what `lockgate build` runs.

Not for plugins, and no part of a component. Runs in a virtual environment of its own, which has `componentize-py` in it. BUILDING.md
says how it works and why.
"""
