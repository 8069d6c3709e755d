"""Weaver 泛微 e-cology: requests (流程) over SOAP WorkflowService or E9's REST interface.

Built from public integration code and copies of the vendor's pages; never run against a live installation.
"""

from __future__ import annotations

from include.adapters.oa.weaver.client_rest import RestInterface
from include.adapters.oa.weaver.client_soap import SoapInterface
from include.adapters.oa.weaver.interface import Interface
from include.adapters.oa.weaver.options import read_options
from include.adapters.oa.weaver.source import WeaverSource
from include.adapters.oa.weaver.web import Web
from include.connections import Endpoint
from include.ports import Clock
from include.settings import Source

__all__ = ["WeaverSource", "build_source"]


def build_source(source: Source, endpoint: Endpoint, clock: Clock) -> WeaverSource:
    """The adapter of one installation: the endpoint's login is the interface user's id, its password the APPID (REST).

    Raises:
        FixConfig: the source's options are wrong.
    """
    options = read_options(source)
    web = Web(endpoint, options, clock)
    interface: Interface = (
        SoapInterface(web, endpoint, options)
        if options.interface == "soap"
        else RestInterface(web, endpoint, options, clock)
    )
    return WeaverSource(source, interface, options, clock)
