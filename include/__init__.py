"""Voucherflow, the product. Nothing below this package imports Airflow."""
