"""The examples in doc comments, run."""

import doctest
import importlib
import pkgutil
import unittest

import lockgate_build
import lockgate_sdk

#: Inside a component only.
NOT_HERE = {"lockgate_sdk.component", "lockgate_build.__main__"}


def load_tests(_loader: unittest.TestLoader, tests: unittest.TestSuite, _pattern: str | None) -> unittest.TestSuite:
    tests.addTests(doctest.DocTestSuite(lockgate_sdk))
    for package in (lockgate_sdk, lockgate_build):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.name not in NOT_HERE:
                tests.addTests(doctest.DocTestSuite(importlib.import_module(module.name)))
    return tests
