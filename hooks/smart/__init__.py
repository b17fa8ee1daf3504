"""The SMART app behind a card (SMART App Launch 2.2): launched by an EHR, it shows one assessment of the ledger."""
