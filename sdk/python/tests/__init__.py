"""Tests of the SDK and of its build: `python3 -m unittest`, in the folder above."""
