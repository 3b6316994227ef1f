from visualizers.units import duration, latency_axis, milliseconds, time_axis  # noqa: F401
