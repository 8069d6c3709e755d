"""Airflow gets a home of its own before anything here imports it."""

import tests.airflow_home  # noqa: F401 - sets the environment
