"""Many conditions together: discovery, dropout, extraction, encoding, adherence."""
