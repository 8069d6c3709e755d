"""From an Airflow connection to the product's `Endpoint`, once for all vendors."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from include.connections import Endpoint
from include.domain.errors import FixConfig, VoucherflowError

if TYPE_CHECKING:
    from airflow.sdk import Connection


def resolve(connection_id: str) -> Endpoint:
    """Look a connection id up as Airflow does: secrets backend, `AIRFLOW_CONN_*`, metadata database.

    Raises:
        FixConfig: there is no such connection, or it has no address.
    """
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = BaseHook.get_connection(connection_id)
    except AirflowNotFoundException as error:
        raise FixConfig(
            f"没有连接 {connection_id!r}：请在 Airflow「管理 → 连接」中新建，或设置环境变量 "
            f"AIRFLOW_CONN_{connection_id.upper()} / no connection {connection_id!r}: add it under Admin → Connections "
            f"or set AIRFLOW_CONN_{connection_id.upper()}"
        ) from error
    return endpoint_of(connection)


def endpoint_of(connection: Connection) -> Endpoint:
    """The connection in the product's terms.

    `host` may be a whole URL or a bare name, then https is meant; `schema` is appended to it as a path, which is
    where ledgers that hold several databases name theirs.

    Raises:
        FixConfig: the address is missing.
    """
    host = (connection.host or "").strip().rstrip("/")
    if not host:
        raise FixConfig(
            f"连接 {connection.conn_id!r} 没有地址（Host）/ connection {connection.conn_id!r} has no host: "
            "fill in the URL of the system"
        )
    url = host if "://" in host else f"https://{host}"
    if connection.port:
        url = f"{url}:{connection.port}"
    if connection.schema:
        url = f"{url}/{connection.schema.strip('/')}"
    extra = {name: str(value) for name, value in connection.extra_dejson.items() if value is not None}
    return Endpoint(
        name=connection.conn_id,
        url=url,
        login=connection.login or "",
        password=connection.password or "",
        extra=extra,
    )


class SystemHook(BaseHook, abc.ABC):
    """What the hooks of all systems share. A vendor's hook names its connection type and builds its adapter."""

    conn_type: str

    def __init__(self, connection_id: str) -> None:
        super().__init__()
        self.connection_id = connection_id

    def get_conn(self) -> Endpoint:
        """Where the system is and how to log in."""
        return resolve(self.connection_id)

    @abc.abstractmethod
    def check(self) -> str:
        """Log in and read something small; a sentence for people. Raises VoucherflowError."""

    def test_connection(self) -> tuple[bool, str]:
        """For the connection form: whether the system lets us in, and what to do if it does not."""
        try:
            return True, self.check()
        except VoucherflowError as error:
            return False, str(error)

    def nothing_configured(self) -> FixConfig:
        """The error for a connection that no source or book could use, so that there is nothing to test with."""
        return FixConfig(
            f"配置中没有使用 {self.conn_type} 的来源或账簿，无法测试：请先在 include/config 中添加 / no source or book "
            f"uses {self.conn_type}, so there is nothing to test with: add one to include/config first"
        )
