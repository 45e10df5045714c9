"""The SCIM core: schemas, filters, PATCH and documents as pure functions (RFC 7643, RFC 7644).

Only the standard library is imported here, and nothing here does input or output, reads a clock or keeps global state.
"""
