"""The stages of a run. One module each, each takes a context and a scope, each may be repeated at any time."""
