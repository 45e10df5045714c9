"""Users and groups in a relational database: SQLite, PostgreSQL or MariaDB, through one code path."""
