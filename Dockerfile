FROM python:3.11.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/voucherflow:/opt/voucherflow/plugins \
    VOUCHERFLOW_PYTHON=/usr/local/bin/python
WORKDIR /opt/voucherflow

COPY requirements.txt .
RUN pip install --no-cache-dir --no-compile uv \
 && uv pip install --system --no-cache --compile-bytecode -r requirements.txt

RUN useradd --system --uid 10001 --home-dir /opt/voucherflow/airflow voucherflow \
 && install -d -o voucherflow /opt/voucherflow/airflow /opt/voucherflow/airflow/logs
COPY voucherflow ./
COPY scripts ./scripts
COPY include ./include
COPY plugins ./plugins
COPY dags ./dags
USER voucherflow
