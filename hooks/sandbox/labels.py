"""Short names for the services of the example orders, in words of our own."""

from __future__ import annotations

LABELS = {
    "20560": "Dry needling, one or two muscles",
    "20561": "Dry needling, three or more muscles",
    "80307": "Drug screen",
    "80364": "Drug test, definitive",
    "96130": "Psychological testing, first hour",
    "96132": "Neuropsychological testing, first hour",
    "96138": "Test administration",
    "96164": "Group health behaviour, first 30 min",
    "96165": "Group health behaviour, added 15 min",
    "97110": "Therapeutic exercise",
    "97112": "Neuromuscular re-education",
    "97113": "Aquatic exercise",
    "97116": "Gait training",
    "97140": "Manual therapy",
    "97150": "Group therapy",
    "97161": "PT evaluation, low complexity",
    "97162": "PT evaluation, moderate complexity",
    "97163": "PT evaluation, high complexity",
    "97164": "PT re-evaluation",
    "97165": "OT evaluation, low complexity",
    "97166": "OT evaluation, moderate complexity",
    "97167": "OT evaluation, high complexity",
    "97168": "OT re-evaluation",
    "97530": "Therapeutic activities",
    "97535": "Self-care training",
    "97750": "Physical performance test",
    "99213": "Office visit, established",
    "99243": "Office consultation",
}
