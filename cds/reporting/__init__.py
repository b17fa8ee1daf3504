"""What the ledger tells over time: figures for those who answer for the policies. Pure counting over its entries."""
