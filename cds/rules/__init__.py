"""Pure: policies, and what they say of an order. A policy sees a Record, never FHIR JSON."""
