"""cardwatch pages the risk team within seconds when a stolen card is used."""
