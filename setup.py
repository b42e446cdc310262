"""What pyproject.toml cannot say: `recipes/` travels inside the package, and the native request is compiled."""

import os
import platform
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lrea_cli.serving.native.sources import headers, options_of, sources


class BuildNative(build_ext):
    """Builds a plain shared library, which ctypes loads. Without GCC or Clang the install goes on without it."""

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + ".so"

    def build_extension(self, ext: Extension) -> None:
        objects = []
        for source in ext.sources:
            options = options_of(Path(source), platform.machine())
            objects += self.compiler.compile([source], self.build_temp, extra_postargs=options, depends=ext.depends)
        self.compiler.link_shared_object(objects, self.get_ext_fullpath(ext.name), target_lang="c++")


def relative(paths: list[Path]) -> list[str]:
    """To this folder, as setuptools wants them."""
    return [os.path.relpath(path, os.path.dirname(os.path.abspath(__file__))) for path in paths]


setup(
    packages=[*find_packages(include=["lrea_cli*"]), "lrea_cli.recipes"],
    package_dir={"lrea_cli.recipes": "recipes"},
    package_data={
        "lrea_cli.recipes": ["*.toml", "*/*.toml"],
        "lrea_cli.serving.native": ["*.h", "*.cpp"],
        "lrea_cli.serving.export": ["replay/*"],
    },
    cmdclass={"build_ext": BuildNative},
    ext_modules=[
        Extension("lrea_cli.serving.native.liblrea", relative(sources()), depends=relative(headers()), optional=True)
    ],
)
