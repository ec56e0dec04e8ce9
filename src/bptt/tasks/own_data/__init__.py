"""The user's own data: tables and arrays, how they are cut, parted, scaled and undone."""
