"""Voucherflow's Airflow side: hooks, operators and pages. Nothing heavy is imported before it is used."""
