"""What a request costs, against a bare route on the same server. Run with `python -m tests.bench`."""
