"""`cds` decides: an order, a coverage and a record become an assessment, by policies that are data."""
