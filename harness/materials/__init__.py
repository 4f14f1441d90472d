"""What a device is given to prove itself: certificates, keys and tokens as files, PEM, DER and C arrays.

`read.py` reads them, `checks.py` and `token.py` say what is wrong (pure), `header.py` writes C arrays, `cli.py` is
`hil certs header`, `hil certs check` and `hil jwt check`.
"""
