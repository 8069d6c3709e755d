"""The store: SQLAlchemy tables, migrations and the repository. SQLite or PostgreSQL."""
