"""Packages come from lib/; data/ travels inside the package as llmrl/data. Everything else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(packages=[*find_packages("lib"), "llmrl.data"], package_dir={"": "lib", "llmrl.data": "data"})
