"""What pyproject.toml cannot say: `recipes/` travels inside the package, and the native request is compiled."""

import platform
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

NATIVE = "lrea_cli/serving/native"
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-g0"]
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"]
TUNED = {
    "fp32_avx2": ["-mavx2", "-mfma", "-mtune=haswell"],
    "fp32_avx512": [*AVX512, "-mtune=icelake-server"],  # generic tuning can cost 1.6 times the time
    "amx": [*AVX512, "-mavx512bf16", "-mtune=icelake-server", "-Wno-maybe-uninitialized"],
}
"""Flags of the files that are compiled for some x86-64 processors alone; the request chooses among them as it runs."""


class BuildNative(build_ext):
    """Builds a plain shared library, which ctypes loads. Without GCC or Clang the install goes on without it."""

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + ".so"

    def build_extension(self, ext: Extension) -> None:
        tuned = TUNED if platform.machine() in ("x86_64", "AMD64") else {}
        objects = []
        for source in ext.sources:
            flags = [*FLAGS, *tuned.get(Path(source).stem, [])]
            objects += self.compiler.compile([source], self.build_temp, extra_postargs=flags, depends=ext.depends)
        self.compiler.link_shared_object(objects, self.get_ext_fullpath(ext.name), target_lang="c++")


setup(
    packages=[*find_packages(include=["lrea_cli*"]), "lrea_cli.recipes"],
    package_dir={"lrea_cli.recipes": "recipes"},
    package_data={"lrea_cli.recipes": ["*.toml", "*/*.toml"], "lrea_cli.serving.native": ["*.h", "*.cpp"]},
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
