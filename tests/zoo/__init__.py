"""The zoo: small daemons by which the rules of `numen audit` are tried, each with one thing wrong, or nearly so."""
