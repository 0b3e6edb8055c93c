"""WHO: countries, offices, people, organisations, consent. The lowest storey; imports nobody."""
