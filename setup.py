"""What pyproject.toml cannot say: `recipes/` travels inside the package, and the native libraries are compiled."""

import os
import platform
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lrea_cli.native.sources import SHARED, headers_of, options_of, sources_of

ROOT = Path(__file__).absolute().parent


class BuildNative(build_ext):
    """Builds a plain shared library, which ctypes loads. Without GCC or Clang the install goes on without it."""

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + ".so"

    def build_extension(self, ext: Extension) -> None:
        objects = []
        for source in ext.sources:
            options = options_of(Path(source), platform.machine())
            objects += self.compiler.compile(
                [source], self.build_temp, None, ext.include_dirs, extra_postargs=options, depends=ext.depends
            )
        path = self.get_ext_fullpath(ext.name)
        self.compiler.link_shared_object(objects, path, extra_postargs=ext.extra_link_args, target_lang="c++")


def relative(paths: list[Path]) -> list[str]:
    """To this folder, as setuptools wants them."""
    return [os.path.relpath(path, ROOT) for path in paths]


def library(package: str, name: str) -> Extension:
    """The library of all sources of a package, beside them."""
    folder = ROOT / package.replace(".", "/")
    return Extension(
        f"{package}.{name}",
        relative(sources_of(folder)),
        include_dirs=relative([SHARED]),
        depends=relative(headers_of(folder)),
        extra_link_args=["-pthread"],
        optional=True,
    )


setup(
    packages=[*find_packages(include=["lrea_cli*"]), "lrea_cli.recipes"],
    package_dir={"lrea_cli.recipes": "recipes"},
    package_data={
        "lrea_cli.recipes": ["*.toml", "*/*.toml"],
        "lrea_cli.native": ["*.h"],
        "lrea_cli.kernels.native": ["*.h", "*.cpp"],
        "lrea_cli.serving.native": ["*.h", "*.cpp"],
        "lrea_cli.serving.export": ["replay/*"],
    },
    cmdclass={"build_ext": BuildNative},
    ext_modules=[library("lrea_cli.serving.native", "liblrea"), library("lrea_cli.kernels.native", "liblrea_training")],
)
