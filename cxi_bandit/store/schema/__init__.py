"""The database's schema as SQLAlchemy tables, which the tests hold the migrated database against."""
