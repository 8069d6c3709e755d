"""The users of the embedded ledger. The gateway's may do what it needs: read the books, make parties and analytic values,
create and post moves.

The user is no administrator and in none of Tryton's own groups: it cannot change the chart or a period, and it can
delete only what is not posted (a draft of its own that the ledger would not post).
"""

from __future__ import annotations

from typing import Any

GATEWAY_LOGIN = "voucherflow"
ADMIN_LOGIN = "admin"
GROUP = "Voucherflow Gateway"

RIGHTS = {
    "account.move": ("read", "create", "delete"),
    "account.move.line": ("read", "create", "delete"),
    "analytic_account.line": ("read", "create", "delete"),
    "analytic_account.account": ("read", "create"),
    "account.general_ledger.account": ("read",),
    "account.journal.period": ("read", "create"),
    "party.party": ("read", "create"),
}
"""Models that Tryton closes to everybody, and what of them the gateway may do; all others are as open as Tryton has them."""

READABLE_FIELDS = ("balance", "debit", "credit")
"""Fields of `account.account` that Tryton shows to its accounting group only; the trial balance needs them."""


def ensure_gateway_user(pool: Any, company: Any, password: str) -> bool:
    """Make the user, or give the one that exists this password; True when it was made."""
    users = pool.get("res.user")
    group = _ensure_group(pool)
    found = users.search([("login", "=", GATEWAY_LOGIN)])
    if found:
        users.write(found, {"password": password})
        return False
    users.create(
        [
            {
                "name": "Voucherflow",
                "login": GATEWAY_LOGIN,
                "password": password,
                "groups": [("add", [group.id])],
                "companies": [("add", [company.id])],
                "company": company.id,
            }
        ]
    )
    return True


def ensure_administrator(pool: Any, company: Any) -> bool:
    """The administrator that every Tryton database has, for programs beside the server; True when it was made.

    It gets no password, so it cannot log in over HTTP until somebody gives it one (`trytond-admin -p`).
    """
    users = pool.get("res.user")
    if users.search([("login", "=", ADMIN_LOGIN)]):
        return False
    users.create(
        [
            {
                "name": "Administrator",
                "login": ADMIN_LOGIN,
                "administrator": True,
                "companies": [("add", [company.id])],
                "company": company.id,
            }
        ]
    )
    return True


def _ensure_group(pool: Any) -> Any:
    groups = pool.get("res.group")
    found = groups.search([("name", "=", GROUP)])
    if found:
        return found[0]
    (group,) = groups.create([{"name": GROUP}])
    pool.get("ir.model.access").create(
        [
            {"model": model, "group": group.id, **{f"perm_{right}": right in rights for right in _ALL_RIGHTS}}
            for model, rights in RIGHTS.items()
        ]
    )
    # Without groups on the button, posting would need the right to write moves.
    model_data = pool.get("ir.model.data")
    button = model_data.get_id("account", "move_post_button")
    accountants = model_data.get_id("account", "group_account")
    pool.get("ir.model.button-res.group").create(
        [{"button": button, "group": member} for member in (group.id, accountants)]
    )
    pool.get("ir.model.field.access").create(
        [
            {
                "model": "account.account",
                "field": name,
                "group": group.id,
                "perm_read": True,
                "perm_write": False,
            }
            for name in READABLE_FIELDS
        ]
    )
    return group


_ALL_RIGHTS = ("read", "write", "create", "delete")
