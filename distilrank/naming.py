"""What designs and their engines are called; imported wherever a name is made."""


def budget_name(budget: float) -> str:
    """A budget of whole nanoseconds as it stands in names: 0.5 us is ``500ns``."""
    return f"{round(1000 * budget)}ns"


def engine_of(precision: str) -> str:
    """The engine that scores a design."""
    return f"native-{precision}"
