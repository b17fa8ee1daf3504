"""`hooks` speaks: CDS Hooks over Flask, and the cards that tell an assessment."""
