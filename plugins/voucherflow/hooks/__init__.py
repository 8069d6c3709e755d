"""Hooks: the composition root, where an Airflow connection becomes an adapter of the product."""
