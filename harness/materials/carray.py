"""Byte arrays in C source, as xxd -i and people write them. Pure; hostile text is bounded, never executed."""

from __future__ import annotations

import re

from harness.materials.model import Blob, Call

MAX_ARRAYS = 64
MAX_BYTES = 1 << 20
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_ARRAY = re.compile(r"""
    \b(\w{1,128})\s*\[\s*\w*\s*\][^=;{}]{0,200}=\s*      # ca_der[1234] __attribute__((aligned(4))) =
    (?:\{([^{}]*)\}|((?:\s*"(?:[^"\\\n]|\\.)*"\s*)+));   # { 0x30, … }; or "-----BEGIN …" "…";
    """, re.VERBOSE)
_NUMBER = re.compile(r"0[xX]([0-9a-fA-F]{1,8})|'(\\?.)'|(\d{1,10})")
_LENGTH = re.compile(r"\b(\w{1,128})\s*=\s*(\d{1,9}|0[xX][0-9a-fA-F]{1,8})\s*;")
_DEFINE = re.compile(r"#\s*define\s+(\w{1,128})\s+\(?(\d{1,9}|0[xX][0-9a-fA-F]{1,8})\)?")
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)")
_ESCAPES = {"n": 10, "r": 13, "t": 9, "0": 0, "\\": 92, '"': 34, "'": 39}
_CALL = re.compile(r"\b(nx_secure_x509_certificate_initialize|nx_secure_tls_trusted_certificate_add|"
                   r"nx_secure_tls_local_certificate_add)\s*\(")
_CAST = re.compile(r"\(\s*(?:const\s+)?(?:unsigned\s+)?\w+\s*\*?\s*\)|&|\s")


def looks_like_c(text: str) -> bool:
    """Whether a text is C rather than PEM or base64."""
    return bool(_ARRAY.search(_clean(text)) or _CALL.search(text))


def arrays(path: str, text: str) -> list[Blob]:
    """Every byte array with its contents and the length that stands beside it (`NAME_len = N;`, `#define NAME_LEN`)."""
    clean = _clean(text)
    lengths = {name.lower(): int(value, 0) for name, value in (*_LENGTH.findall(clean), *_DEFINE.findall(clean))}
    found = []
    for match in list(_ARRAY.finditer(clean))[:MAX_ARRAYS]:
        name, numbers, strings = match.groups()
        data = _numbers(numbers) if numbers is not None else _strings(strings)
        if len(data) < 16:  # a flag or a small table, no certificate
            continue
        found.append(Blob(path=path, name=name, data=data[:MAX_BYTES], declared=_declared(name, lengths)))
    return found


def _clean(text: str) -> str:
    """Comments off, strings kept (a PEM string holds `//`)."""
    parts = re.split(r'("(?:[^"\\\n]|\\.)*")', text)
    if any("*/" in part or "/*" in part for part in parts[1::2]):
        return _COMMENT.sub(" ", text)
    return "".join(part if part.startswith('"') else _COMMENT.sub(" ", part) for part in parts)


def _declared(name: str, lengths: dict[str, int]) -> int | None:
    low = name.lower()
    for candidate in (f"{low}_len", f"{low}_length", f"{low}_size", f"{low}len", f"len_{low}"):
        if candidate in lengths:
            return lengths[candidate]
    return None


def _numbers(text: str) -> bytes:
    out = bytearray()
    for digits, letter, decimal in _NUMBER.findall(text):
        value = int(digits, 16) if digits else int(decimal) if decimal else _letter(letter)
        out.append(value & 0xFF)
    return bytes(out)


def _letter(text: str) -> int:
    return _ESCAPES.get(text[1], ord(text[1])) if text.startswith("\\") and len(text) > 1 else ord(text[0])


def _strings(text: str) -> bytes:
    """C string literals joined, with the NUL that the compiler adds."""
    out = bytearray()
    for literal in _STRING.findall(text):
        last = 0
        for escape in _ESCAPE.finditer(literal):
            out += literal[last : escape.start()].encode("latin-1", "replace")
            out.append(_escaped(escape[1]) & 0xFF)
            last = escape.end()
        out += literal[last:].encode("latin-1", "replace")
    out.append(0)
    return bytes(out)


def _escaped(text: str) -> int:
    if text[0] == "x" and len(text) > 1:
        return int(text[1:], 16)
    if text[0] in "01234567":
        return int(text, 8)
    return _ESCAPES.get(text[0], ord(text[0]))


def calls(path: str, text: str) -> list[Call]:
    """Calls of the vendor's certificate functions, in the order they stand."""
    clean = _clean(text)
    found = []
    for match in list(_CALL.finditer(clean))[:MAX_ARRAYS]:
        words = _arguments(clean, match.end())
        found.append(Call(path=path, function=match[1], arguments=tuple(_CAST.sub("", word) for word in words)))
    return found


def _arguments(text: str, start: int) -> list[str]:
    """Split at the top level's commas, up to the closing bracket; bounded."""
    words: list[str] = []
    depth, word = 0, ""
    for letter in text[start : start + 2000]:
        if letter == ")" and depth == 0:
            return [*words, word]
        if letter == "," and depth == 0:
            words.append(word)
            word = ""
            continue
        depth += {"(": 1, ")": -1}.get(letter, 0)
        word += letter
    return []
