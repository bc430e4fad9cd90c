"""What a run saw itself, apart from the job: observers, their receipts, and the verdict."""
