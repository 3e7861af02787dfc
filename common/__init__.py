"""What every other package may use: errors, the car, whole files, pages, tables."""
