"""Filters: text -> Parsed -> Bound (RFC 7644 section 3.4.2.2). `evaluate` is the oracle of every store's compiler."""
