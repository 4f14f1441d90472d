"""Cases made live: a real client against a real Mosquitto, captured, and explained. `python -m tests.diagnosis.live`.

`cases.py` says what each case is and what caused it (known from how it is set up), `bench.py` makes its evidence,
`judge.py` compares what `hil explain` says about it with the truth, stream by stream.
"""
