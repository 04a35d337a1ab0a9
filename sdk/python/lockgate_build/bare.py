"""A module without its comments and doc comments, every line where it was.

What a module says to its readers would be kept in every component: it takes memory, and a URL in it looks like a system that the plugin
calls, which hosts refuse.
"""

from __future__ import annotations

import ast
import io
import tokenize


def bare(source: bytes) -> bytes:
    """`source` with comments blanked and doc comments empty; as it is where it is not Python in UTF-8.

    >>> print(bare(b'x = 1  # see https://acme.example\\ndef f():\\n    \\"\\"\\"Gives\\n    two.\\"\\"\\"\\n    return 2').decode())
    x = 1
    def f():
        '' \\
    <BLANKLINE>
        return 2
    """
    try:
        text = source.decode("utf-8")
        tree = ast.parse(text)
        comments = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT]
    except (UnicodeDecodeError, SyntaxError, ValueError, tokenize.TokenError):
        return source
    lines = text.splitlines(keepends=True)
    for token in comments:
        number, column = token.start
        # The first two lines may say how the rest is to be read.
        if number > 2 or "coding" not in token.string:
            end = lines[number - 1][len(lines[number - 1].rstrip("\r\n")) :]
            lines[number - 1] = lines[number - 1][:column].rstrip() + end
    encoded = [line.encode() for line in lines]
    # From the last to the first, so that what is before keeps its place.
    for node in sorted(_doc_comments(tree), key=lambda node: (node.lineno, node.col_offset), reverse=True):
        _empty(encoded, node)
    return b"".join(encoded)


def _doc_comments(tree: ast.Module) -> list[ast.Expr]:
    found: list[ast.Expr] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                found.append(first)
    return found


def _empty(lines: list[bytes], node: ast.Expr) -> None:
    """An empty text in its place, as many lines long: what follows keeps its number, and `from __future__` may follow."""
    assert node.end_lineno is not None and node.end_col_offset is not None
    first, last = node.lineno - 1, node.end_lineno - 1
    before, behind = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    if first == last:
        lines[first] = before + b"''" + behind
        return
    lines[first] = before + b"'' \\\n"
    for number in range(first + 1, last):
        lines[number] = b"\\\n"
    lines[last] = behind
