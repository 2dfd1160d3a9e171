"""Characters that a terminal obeys, as pictures of them.

Models, data sets, callers and servers write what logs and commands print. An escape sequence in it could clear the
screen, rename the window or fill the clipboard.
"""

PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: "\u2421"}
"""For `str.translate`: U+2400, SYMBOL FOR NULL, and on; what has no picture becomes U+FFFD."""
PICTURES |= dict.fromkeys(range(0x80, 0xA0), "\ufffd")
ESCAPES = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
"""For `str.translate` of JSON: its writers escape what is below U+0020 themselves."""
