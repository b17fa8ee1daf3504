"""Pure: FHIR R4 JSON in, the words of `cds.model` out. No socket, file, clock or environment here."""
