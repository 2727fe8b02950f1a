"""What every route has in common: who asks, problems, answers, versions, pages, repeats, limits."""
