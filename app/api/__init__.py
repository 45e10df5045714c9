"""SCIM over HTTP: the only place that knows both."""
