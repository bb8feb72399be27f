"""The native library's part of a build; all else is in pyproject.toml.

ctypes loads the library, so that one wheel serves every Python of a platform. Where it cannot be built, the
wheel is for any platform and ONNX Runtime and NumPy do its work.
"""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "build_hooks"))

import native_library  # noqa: E402 - it lies beside this file, in no package


class BuildWithLibrary(build_py):
    """Copies the Python files and compiles the library beside them."""

    def run(self) -> None:
        """Build; a library that cannot be compiled is only a warning."""
        super().run()
        if not native_library.is_wanted():
            return
        out = _library(ROOT if self.editable_mode else Path(self.build_lib))
        if self.editable_mode and native_library.is_current(ROOT, out):
            return  # every environment of this source tree has the one library
        failed = native_library.compile_library(ROOT, out)
        if failed:
            self.warn(f"no native library, so ONNX Runtime and NumPy will do its work: {failed}")


class WheelWithLibrary(bdist_wheel):
    """A wheel for every Python 3, of this platform if it holds the library."""

    def get_tag(self) -> tuple[str, str, str]:
        """The wheel's tags: Python, ABI and platform."""
        built = _library(Path(self.distribution.get_command_obj("build_py").build_lib)).exists()
        return "py3", "none", super().get_tag()[2] if built else "any"


class WithLibrary(Distribution):
    """A distribution whose files belong where a platform's own do, if there is a library."""

    def has_ext_modules(self) -> bool:
        """Whether files of this platform are among those installed."""
        return native_library.is_wanted() and native_library.compiler() is not None


def _library(root: Path) -> Path:
    return root / native_library.SOURCES.parent / native_library.LIBRARY


setup(
    distclass=WithLibrary,
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": WheelWithLibrary},
)
