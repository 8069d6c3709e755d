"""What Airflow is told of Voucherflow: its connection types and their forms.

Airflow finds `get_provider_info` through `voucherflow_airflow.dist-info` beside this package: an entry point needs
distribution metadata on `sys.path`, so the plugins folder has to be in PYTHONPATH (Airflow adds it by itself only after
it has looked), and nothing has to be installed. Every Airflow process imports this module: it holds data alone.
"""

from __future__ import annotations

from typing import Any

HESI = {
    "connection-type": "hesi",
    "hook-class-name": "voucherflow.hooks.hesi.HesiHook",
    "hook-name": "合思 Hesi",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port"],
        "relabeling": {"host": "地址 URL", "login": "appKey", "password": "appSecurity"},
        "placeholders": {
            "host": "https://app.ekuaibao.com",
            "login": "合思「开放接口」里的 appKey / from Hesi's open API settings",
            "password": "只显示一次，请妥善保存 / shown once by Hesi",
        },
    },
}

FEISHU = {
    "connection-type": "feishu",
    "hook-class-name": "voucherflow.hooks.feishu.FeishuHook",
    "hook-name": "飞书 Feishu",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port"],
        "relabeling": {"host": "地址 URL", "login": "App ID", "password": "App Secret"},
        "placeholders": {
            "host": "https://open.feishu.cn",
            "login": "自建应用的 App ID，形如 cli_… / of the self-built app",
            "password": "自建应用的 App Secret / of the self-built app",
        },
    },
}

TRYTON = {
    "connection-type": "tryton",
    "hook-class-name": "voucherflow.hooks.tryton.TrytonHook",
    "hook-name": "Tryton 账务",
    "ui-field-behaviour": {
        "hidden-fields": ["port"],
        "relabeling": {
            "host": "地址 URL",
            "schema": "数据库 database",
            "login": "用户 user",
            "password": "密码 password",
        },
        "placeholders": {
            "host": "https://ledger.example.com",
            "schema": "ledger",
            "login": "voucherflow",
            "password": "只有过账权限的账号 / a user with posting rights only",
        },
    },
}

KINGDEE = {
    "connection-type": "kingdee",
    "hook-class-name": "voucherflow.hooks.kingdee.KingdeeHook",
    "hook-name": "金蝶云星空 Kingdee",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port"],
        "relabeling": {
            "host": "地址 URL",
            "login": "集成用户 user",
            "password": "应用密钥 app secret",
        },
        "placeholders": {
            "host": "https://kingdee.example.com/k3cloud",
            "login": "第三方系统登录授权中的集成用户 / the user of the login authorisation",
            "password": "应用密钥，只显示一次 / shown once by Kingdee",
        },
    },
    "conn-fields": {
        "acct_id": {
            "label": "数据中心 acct id",
            "description": "第三方系统登录授权中的数据中心标识 / the data centre's id, as the login authorisation shows it",
            "schema": {"type": ["string", "null"]},
        },
        "app_id": {
            "label": "应用 ID app id",
            "description": "形如 204399_ 加 32 个字符 / a number, _ and 32 characters",
            "schema": {"type": ["string", "null"], "format": "password"},
        },
    },
}

DINGTALK = {
    "connection-type": "dingtalk",
    "hook-class-name": "voucherflow.hooks.dingtalk.DingTalkHook",
    "hook-name": "钉钉审批 DingTalk",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port"],
        "relabeling": {
            "host": "地址 URL",
            "login": "AppKey（Client ID）",
            "password": "AppSecret（Client Secret）",
        },
        "placeholders": {
            "host": "https://api.dingtalk.com",
            "login": "企业内部应用的 AppKey / AppKey of an internal app",
            "password": "该应用的 AppSecret / its AppSecret",
        },
    },
}

WEAVER = {
    "connection-type": "weaver",
    "hook-class-name": "voucherflow.hooks.weaver.WeaverHook",
    "hook-name": "泛微 e-cology Weaver",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port"],
        "relabeling": {
            "host": "地址 URL",
            "login": "接口用户 id user id",
            "password": "APPID（REST）",
        },
        "placeholders": {
            "host": "https://oa.example.com",
            "login": "人员 id（数字），此人须参与各单据的流程 / numeric id of a user who takes part in the workflows",
            "password": "ecology_biz_ec 中许可的 APPID；SOAP 不需要 / the licensed APPID; SOAP needs none",
        },
    },
    "conn-fields": {
        "secret": {
            "label": "注册所得 secret",
            "description": "只在已手工注册时填写（REST）/ only if the APPID was registered by hand",
            "schema": {"type": ["string", "null"], "format": "password"},
        },
        "spk": {
            "label": "系统公钥 spk",
            "description": "与 secret 一起得到 / comes with the secret",
            "schema": {"type": ["string", "null"]},
        },
    },
}


YONBIP = {
    "connection-type": "yonbip",
    "hook-class-name": "voucherflow.hooks.yonbip.YonbipHook",
    "hook-name": "用友 YonBIP / YonSuite",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port"],
        "relabeling": {"host": "地址 URL", "login": "appKey", "password": "appSecret"},
        "placeholders": {
            "host": "https://apigateway.yonyoucloud.com",
            "login": "工作台「我的应用」中自建应用的 appKey / of the self-built application",
            "password": "自建应用的 appSecret / of the self-built application",
        },
    },
    "conn-fields": {
        "tenant_id": {
            "label": "租户 ID tenant id",
            "description": "工作台中查看，用来查找数据中心 / shown in the workbench; its data centre is looked up by it",
            "schema": {"type": ["string", "null"]},
        },
        "token_url": {
            "label": "令牌地址 token URL",
            "description": "只在地址填写网关本身时填写，形如 https://…/iuap-api-auth / only if the URL above is the gateway itself",
            "schema": {"type": ["string", "null"]},
        },
    },
}


NC = {
    "connection-type": "nc",
    "hook-class-name": "voucherflow.hooks.nc.NcHook",
    "hook-name": "用友 NC 外部交换平台",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port", "login", "password"],
        "relabeling": {"host": "地址 URL"},
        "placeholders": {"host": "https://nc.example.com:8080"},
    },
    "conn-fields": {
        "view_user": {
            "label": "视图用户 view user",
            "description": "只读视图的用户 / of the site's read-only views",
            "schema": {"type": ["string", "null"]},
        },
        "view_password": {
            "label": "视图口令 view password",
            "description": "只读视图的口令 / of the site's read-only views",
            "schema": {"type": ["string", "null"], "format": "password"},
        },
    },
}


def get_provider_info() -> dict[str, Any]:
    """The provider's description, in the form of Airflow's provider_info.schema.json."""
    return {
        "package-name": "voucherflow-airflow",
        "name": "Voucherflow",
        "description": "OA 单据到会计凭证 / approved documents to accounting vouchers",
        "connection-types": [DINGTALK, FEISHU, HESI, KINGDEE, NC, TRYTON, WEAVER, YONBIP],
    }
