"""`pytest parity/` takes its options, its parameters and its report from the plugin."""

pytest_plugins = ["parity.pytest_plugin"]
