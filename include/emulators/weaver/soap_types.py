"""The types and operations of WorkflowService as data: the WSDL, the encoder and the decoder read the same tables."""

from __future__ import annotations

from collections.abc import Mapping

TYPES_NS = "http://webservices.workflow.weaver"
SERVICE_NS = "webservices.services.weaver.com.cn"

INFO = "WorkflowRequestInfo"
STRINGS = "ArrayOfString"

_S, _B, _I = "string", "boolean", "int"


def _strings(names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, _S) for name in names.split())


STRUCTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "WorkflowBaseInfo": _strings("formId workflowId workflowName workflowTypeId workflowTypeName"),
    "WorkflowRequestTableField": (
        ("browserurl", _S),
        ("edit", _B),
        *_strings("fieldDBType fieldFormName fieldHtmlType fieldId fieldName"),
        ("fieldOrder", _I),
        *_strings("fieldShowName fieldShowValue fieldType fieldValue filedHtmlShow"),
        ("mand", _B),
        ("selectnames", STRINGS),
        ("selectvalues", STRINGS),
        ("view", _B),
    ),
    "WorkflowRequestTableRecord": (
        ("recordOrder", _I),
        ("workflowRequestTableFields", "ArrayOfWorkflowRequestTableField"),
    ),
    "WorkflowMainTableInfo": (("requestRecords", "ArrayOfWorkflowRequestTableRecord"), ("tableDBName", _S)),
    "WorkflowDetailTableInfo": (
        ("tableDBName", _S),
        ("tableFieldName", STRINGS),
        ("tableTitle", _S),
        ("workflowRequestTableRecords", "ArrayOfWorkflowRequestTableRecord"),
    ),
    "WorkflowRequestLog": _strings(
        "agentor agentorDept annexDocHtmls id nodeId nodeName operateDate operateTime operateType operatorDept"
        " operatorId operatorName operatorSign receivedPersons remark remarkSign signDocHtmls signWorkFlowHtmls"
    ),
    INFO: (
        ("canEdit", _B),
        ("canView", _B),
        *_strings(
            "createTime creatorId creatorName currentNodeId currentNodeName forwardButtonName isnextflow lastOperateTime"
            " lastOperatorName messageType"
        ),
        ("mustInputRemark", _B),
        ("needAffirmance", _B),
        *_strings(
            "receiveTime rejectButtonName remark requestId requestLevel requestName secLevel status subbackButtonName"
            " submitButtonName subnobackButtonName"
        ),
        ("workflowBaseInfo", "WorkflowBaseInfo"),
        ("workflowDetailTableInfos", "ArrayOfWorkflowDetailTableInfo"),
        ("workflowHtmlShow", STRINGS),
        ("workflowHtmlTemplete", STRINGS),
        ("workflowMainTableInfo", "WorkflowMainTableInfo"),
        ("workflowPhrases", "ArrayOfArrayOfString"),
        ("workflowRequestLogs", "ArrayOfWorkflowRequestLog"),
    ),
}
"""Fields in the order of the published types, with the vendor's own spellings (filedHtmlShow, workflowHtmlTemplete)."""

ARRAYS: Mapping[str, str] = {
    STRINGS: _S,
    "ArrayOfArrayOfString": STRINGS,
    **{
        f"ArrayOf{name}": name
        for name in (INFO, *(struct for struct in STRUCTS if struct not in {INFO, "WorkflowMainTableInfo"}))
    },
}
"""Array type to the type of its items, which are elements of that name."""

SIMPLE = frozenset({_S, _B, _I})

_LIST = ((_I, _I, _I, _I, STRINGS), f"ArrayOf{INFO}")
_COUNT = ((_I, STRINGS), _I)

OPERATIONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "getToDoWorkflowRequestList": _LIST,
    "getToDoWorkflowRequestCount": _COUNT,
    "getHendledWorkflowRequestList": _LIST,
    "getHendledWorkflowRequestCount": _COUNT,
    "getProcessedWorkflowRequestList": _LIST,
    "getProcessedWorkflowRequestCount": _COUNT,
    "getMyWorkflowRequestList": _LIST,
    "getMyWorkflowRequestCount": _COUNT,
    "getCCWorkflowRequestList": _LIST,
    "getCCWorkflowRequestCount": _COUNT,
    "getAllWorkflowRequestList": _LIST,
    "getAllWorkflowRequestCount": _COUNT,
    "getWorkflowRequest": ((_I, _I, _I), INFO),
    "getCreateWorkflowRequestInfo": ((_I, _I), INFO),
    "getWorkflowRequestLogs": ((_S, _S, _I, _I, _I), "ArrayOfWorkflowRequestLog"),
    "doCreateWorkflowRequest": ((INFO, _I), _S),
    "submitWorkflowRequest": ((INFO, _I, _I, _S, _S), _S),
    "forwardWorkflowRequest": ((_I, _S, _S, _I, _S), _S),
    "doForceOver": ((_I, _I), _S),
    "deleteRequest": ((_I, _I), _B),
    "getUserId": ((_S, _S), _S),
}
"""Operation to its parameters (in0, in1 …) and its result (out)."""


def namespace_of(type_name: str, service_ns: str) -> str:
    """Where a complex type is declared: arrays of strings belong to the service, all others to the workflow types."""
    return service_ns if type_name in {STRINGS, "ArrayOfArrayOfString"} else TYPES_NS
