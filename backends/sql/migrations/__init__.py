"""Migrations of the tables of users and groups, run by `backends.sql.upgrade`."""
