"""Maps: lazy inference, albedo and glacier statistics."""
