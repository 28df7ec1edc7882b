"""Numbers as people read them: rounded, with a proper minus sign, a dash where there is none."""

import math

import pandas as pd

MISSING = "–"


def significant(value: float, digits: int = 3) -> str:
    """A number to ``digits`` significant digits and never in scientific notation."""
    if value is None or pd.isna(value):
        return MISSING
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def fixed(value: float, places: int, sign: bool = False) -> str:
    """A number to ``places`` decimal places, with a proper minus sign."""
    if value is None or pd.isna(value):
        return MISSING
    # Rounding first, and adding 0, keeps a tiny negative number from printing as −0.0.
    text = f"{round(value, places) + 0.0:{'+' if sign else ''}.{places}f}"
    return text.replace("-", "−")


def whole(value: float) -> str:
    return MISSING if value is None or pd.isna(value) else f"{int(value):,}"


def percent(value: float, places: int = 1, sign: bool = False) -> str:
    return MISSING if pd.isna(value) else fixed(100 * value, places, sign)


def p_text(value: float) -> str:
    if pd.isna(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def scientific(value: float) -> str:
    return MISSING if pd.isna(value) else f"{value:.1e}".replace("-", "−")


def interval(low: float, high: float, places: int = 4, sign: bool = True) -> str:
    """Such as ``[−0.0102, +0.0043]``; nothing where there is none."""
    if pd.isna(low):
        return MISSING
    return f"[{fixed(low, places, sign)}, {fixed(high, places, sign)}]"


def quartiles(low: float, high: float, digits: int = 3) -> str:
    return MISSING if pd.isna(low) else f"{significant(low, digits)} – {significant(high, digits)}"
