"""What a search will take, before it starts: epochs, hours, money, memory and disk."""
