"""What pyproject.toml cannot say: `recipes/` lies beside the package and travels inside it."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lrea_cli*"]), "lrea_cli.recipes"],
    package_dir={"lrea_cli.recipes": "recipes"},
    package_data={"lrea_cli.recipes": ["*.toml", "*/*.toml"]},
)
