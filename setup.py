"""What pyproject.toml cannot say: `recipes/` travels inside the package, and the native request is compiled."""

import json
import platform
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

NATIVE = "lrea_cli/serving/native"
FLAGS = json.loads((Path(__file__).parent / NATIVE / "flags.json").read_text(encoding="utf-8"))
"""Of all files, and of those for some x86-64 processors alone, among which the request chooses as it runs."""


class BuildNative(build_ext):
    """Builds a plain shared library, which ctypes loads. Without GCC or Clang the install goes on without it."""

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + ".so"

    def build_extension(self, ext: Extension) -> None:
        tuned = FLAGS["x86-64"] if platform.machine() in ("x86_64", "AMD64") else {}
        objects = []
        for source in ext.sources:
            flags = [*FLAGS["all"], *tuned.get(Path(source).stem, [])]
            objects += self.compiler.compile([source], self.build_temp, extra_postargs=flags, depends=ext.depends)
        self.compiler.link_shared_object(objects, self.get_ext_fullpath(ext.name), target_lang="c++")


setup(
    packages=[*find_packages(include=["lrea_cli*"]), "lrea_cli.recipes"],
    package_dir={"lrea_cli.recipes": "recipes"},
    package_data={
        "lrea_cli.recipes": ["*.toml", "*/*.toml"],
        "lrea_cli.serving.native": ["*.h", "*.cpp", "*.json"],
        "lrea_cli.serving.export": ["replay/*"],
    },
    cmdclass={"build_ext": BuildNative},
    ext_modules=[
        Extension(
            "lrea_cli.serving.native.liblrea",
            sorted(str(path) for path in Path(NATIVE).glob("*.cpp")),
            depends=sorted(str(path) for path in Path(NATIVE).glob("*.h")),
            optional=True,
        )
    ],
)
