"""Where the plugin and the SDK are, so that `python3 -m unittest` finds them without an installation."""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_HERE), str(_HERE / "{{sdk}}")]
