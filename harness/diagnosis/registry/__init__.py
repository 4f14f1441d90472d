"""Registries of TLS code points: suites, groups, signature schemes, extensions, alerts."""
