"""Comparing two journals as sets: ours and the ledger's. Pure: frames in, typed differences out.

`frames` gives both sides one shape, `matching` finds what belongs together and whether it agrees, `contents` names
what differs, `wording` says it to people.
"""
