"""The checks, one file an exercise: right answers, and usual wrong ones. A notebook calls them by name.

Every name that a file defines is a name of this package, too: ``check.mask_count(magnitude_mask)``.
"""

import pkgutil as _pkgutil
from importlib import import_module as _import_module

from ..check import hidden

__all__ = ["hidden"]

for _file in _pkgutil.iter_modules(__path__):
    _module = _import_module(f"{__name__}.{_file.name}")
    for _name, _thing in vars(_module).items():
        if getattr(_thing, "__module__", None) == _module.__name__ and not _name.startswith("_"):
            assert _name not in globals(), f"{_name} is defined in two files of checks/"
            globals()[_name] = _thing
