"""What happens to records between the stream and the warehouse: pure, without AWS."""
