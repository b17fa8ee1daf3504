"""pygal, loaded when the first picture is wanted, and without the import hook that it leaves behind."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def charts() -> Any:  # noqa: ANN401 - an untyped library
    """The module `pygal`: a tenth of a second, which only pages with a picture need.

    Its hook looks for maps that nobody here has, by a protocol that Python 3.12 has given up: every import that
    fails afterwards would warn of it.
    """
    import pygal

    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != pygal.__name__]
    return pygal


def style(**fonts: object) -> Any:  # noqa: ANN401 - an untyped library
    """A pygal style."""
    charts()
    from pygal.style import Style

    return Style(**fonts)
