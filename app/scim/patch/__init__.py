"""PATCH (RFC 7644 section 3.5.2): client shapes -> RFC shapes -> a plan -> a net change. Pure functions."""
