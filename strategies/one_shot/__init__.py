"""One-shot strategies.

`nni.nas.strategy` must be imported before `nni.nas.oneshot`: the other way round its one-shot names stay stubs.
"""

from __future__ import annotations

import nni.nas.strategy  # noqa: F401
