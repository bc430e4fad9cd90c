"""Events from the bank's transactional database: its accounts and, if wanted, transactions."""
