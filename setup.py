"""What pyproject.toml cannot say: `recipes/` and a page of `docs/` lie beside the package and travel inside it."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lrea_cli*"]), "lrea_cli.recipes", "lrea_cli.docs"],
    package_dir={"lrea_cli.recipes": "recipes", "lrea_cli.docs": "docs"},
    package_data={"lrea_cli.recipes": ["*.toml", "*/*.toml"], "lrea_cli.docs": ["fidelity.md"]},
)
