"""The Python reference: the public names of the package, described by their docstrings."""

from __future__ import annotations

from pathlib import Path

import nasrec_nni

HEAD = """# Python

`nasrec_nni` exports the names below; what a plug-in is built of stands in `nasrec_nni.authoring`
([plug-ins](../plugins.md)), its tests in `nasrec_nni.testing`. All else is private and may change in any release.
Importing the package loads neither torch nor NNI: each name loads when it is first used. Shapes: B batch, F fields, E
embedding width, N rows, D width.

<!-- test: run -->
```python
from nasrec_nni import Sizes, load_architecture, profile

architecture = load_architecture("architecture.json")   # ours or the authors' file
print(architecture.id)                                  # equal id, equal function
costs = profile(architecture, Sizes(dense=13, fields=26))
print(costs.live_macs)                                  # multiply-accumulates an example
```
"""


def page(root: Path) -> str:
    """Markdown of the page."""
    homes = {name: f"nasrec_nni.{home}" for name, home in nasrec_nni._HOMES.items()}
    # Read from the sources, where the folders that install below the package lie beside it.
    homes |= {name: home.removeprefix("nasrec_nni.") for name, home in homes.items() if ".strategies." in home}
    parts = [f"\n::: {homes[name]}.{name}\n" for name in nasrec_nni.__all__]
    return HEAD + "\n## Names\n" + "".join(parts)
