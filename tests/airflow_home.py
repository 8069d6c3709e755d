"""Airflow reads its settings from the environment once, when it is first imported. Import this module before it.

The home is a folder of this process alone, so tests neither see nor change anybody's Airflow.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = tempfile.mkdtemp(prefix="vf-airflow-")
SETTINGS = {
    "AIRFLOW_HOME": HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
}

os.environ.update(SETTINGS)
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
