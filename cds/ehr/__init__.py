"""The EHR's FHIR server, as a source of evidence."""
