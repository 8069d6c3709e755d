"""Rules (凭证模板与决策表): what an accountant writes, checked as a whole and run over many documents at once.

`load_rules` reads templates (YAML) and decision tables (CSV), `check_accounts` holds them against a ledger's chart,
`generate` makes vouchers of documents. Nothing in a rule is an expression: see docs/rules.md.
"""

from include.rules.compile import generate
from include.rules.frames import Generated, Sources
from include.rules.ruleset import RuleSet, check_accounts, load_rules

__all__ = ["Generated", "RuleSet", "Sources", "check_accounts", "generate", "load_rules"]
