"""Stand-ins of OA and accounting systems: real servers, built from the vendors' public documents."""
